"""Regions and choices of predictions and annotations, made from instances and read back into them."""
