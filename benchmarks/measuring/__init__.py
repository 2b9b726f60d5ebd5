"""What serving.py and int8.py are made of: one thing that is measured, or that measuring takes, per file."""
