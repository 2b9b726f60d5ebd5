"""Weights: their file formats, the published ones, and the folders that they live in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.folders import default_folder

if TYPE_CHECKING:
    from fbnetv3.weights.safetensors_file import write_checkpoint
    from fbnetv3.weights.store import load_checkpoint

__all__ = ["Checkpoint", "WeightsError", "default_folder", "load_checkpoint", "write_checkpoint"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: both need PyTorch, which takes seconds."""
    if name == "load_checkpoint":
        from fbnetv3.weights.store import load_checkpoint

        return load_checkpoint
    if name == "write_checkpoint":
        from fbnetv3.weights.safetensors_file import write_checkpoint

        return write_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
