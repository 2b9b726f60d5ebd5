"""What `serving.py` measures with: rounds, the engine's parts, the machine's limits, a running server."""
