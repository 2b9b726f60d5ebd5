"""Whole-image classes: the ImageNet classifier, and linear heads that learn a project's own choices."""
