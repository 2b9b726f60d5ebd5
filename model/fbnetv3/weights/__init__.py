"""Weights: their file formats, the published ones, and the folders that they live in."""

from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.safetensors_file import write_checkpoint
from fbnetv3.weights.store import default_folder, load_checkpoint

__all__ = ["Checkpoint", "WeightsError", "default_folder", "load_checkpoint", "write_checkpoint"]
