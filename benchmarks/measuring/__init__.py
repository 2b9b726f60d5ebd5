"""What serving.py, int8.py and batches.py are made of: one thing measured, or that measuring takes, per file."""
