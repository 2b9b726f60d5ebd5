"""A detector whose features tell red images from black ones, and heads that do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from serving import RED_PER_NUMBER, ColourDetector

from fbnetv3.classification.linear_head import LinearHead, pool
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.detector import ImageFeatures
from fbnetv3.engines.onnx_engine import OnnxEncoded


class ToneDetector(ColourDetector):
    """Its features are how red an image is, and how far from it. `looks`: images that it was set to, batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = []

    def set_images(self, images: Sequence[np.ndarray]) -> list[ImageFeatures]:
        self.looks.append(len(images))
        return [ImageFeatures(image, _encoded(int(image[0, 0, 0]))) for image in images]


def _encoded(red: int) -> OnnxEncoded:
    texture = np.random.default_rng(1).random((1, 6, 4, 4), np.float32)
    strength = np.repeat(np.float32([red, 255 - red]), 3).reshape(6, 1, 1)
    maps = {"trunk": strength * texture}
    return OnnxEncoded((0, 0), np.zeros((0, 4), np.float32), maps)


def head(name: str, *classes: str, multi_label: bool = False, sharpness: float = 5.0) -> LinearHead:
    """Sees its first class in red images and its second one in black ones."""
    red, black = (pool(_encoded(number * RED_PER_NUMBER).maps) for number in (50, 1))
    towards_red = sharpness * (red - black)
    bias = towards_red @ (red + black) / 2
    weight = np.stack([towards_red, -towards_red]).astype(np.float32)
    return LinearHead(HeadSpec(name, classes, multi_label), weight, np.array([-bias, bias], np.float32))
