"""The content of a training run: why one starts, its steps, and the evaluation of its candidate."""
