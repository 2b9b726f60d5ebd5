"""Brings predictions into Label Studio: stored for tasks, shown for a project, and renewed for a new version."""
