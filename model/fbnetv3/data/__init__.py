"""Labelled images: COCO files, snapshots of accepted labels, and the examples that training reads."""
