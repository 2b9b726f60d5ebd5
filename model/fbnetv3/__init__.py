"""fbnetv3: Mask R-CNN and Faster R-CNN on FBNetV3, with d2go's parameter names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fbnetv3.config import ConfigError, ModelConfig
from fbnetv3.detector import Detector
from fbnetv3.images import ImageError, read_image
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.weights import WeightsError

if TYPE_CHECKING:
    from fbnetv3.factory import create_model, list_models

__all__ = [
    "BoxMask",
    "ConfigError",
    "Detector",
    "ImageError",
    "Instances",
    "ModelConfig",
    "WeightsError",
    "create_model",
    "list_models",
    "read_image",
]


def __getattr__(name: str) -> Any:
    """Imported when asked for: building a network needs PyTorch, which takes seconds; looking at images need not."""
    if name in ("create_model", "list_models"):
        from fbnetv3 import factory

        return getattr(factory, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
