"""Training in the background: what wakes the worker, the worker, and the processes that it starts."""
