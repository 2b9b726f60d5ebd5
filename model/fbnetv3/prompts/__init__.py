"""A person's hint, a box or clicks, read with a detector's features: one object's mask, or nothing."""
