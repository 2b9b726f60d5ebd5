"""fbnetv3: Mask R-CNN and Faster R-CNN on FBNetV3, with d2go's parameter names."""

from fbnetv3.config import ConfigError, ModelConfig
from fbnetv3.detector import Detector
from fbnetv3.factory import create_model, list_models
from fbnetv3.images import ImageError, read_image
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.weights import WeightsError

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
