"""What runs the network: PyTorch itself, or ONNX Runtime with graphs that were exported from it."""
