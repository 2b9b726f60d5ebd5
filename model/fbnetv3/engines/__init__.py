"""What runs the network: PyTorch itself, or ONNX Runtime with graphs that were exported from it."""

import os

# ONNX Runtime's wheels report to Microsoft and keep an id of the machine in ~/.cache, unless told before their import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
