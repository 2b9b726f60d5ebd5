"""Training in the background: what starts a run, the queue, the worker, and the process that trains."""
