"""An image together with what a detector's engine made of it: set once, read many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Encoded


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """`pixels`: the image, (H, W, 3) uint8 RGB, upright. `encoded`: the engine's part."""

    pixels: Array
    encoded: Encoded

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width

    @property
    def scale(self) -> Array:
        """What a box (4,) in pixels of the network's input is multiplied with to be one in pixels of the image."""
        (height, width), (net_height, net_width) = self.image_size, self.encoded.size
        return np.array([width / net_width, height / net_height] * 2, np.float32)

    @property
    def maps(self) -> Mapping[str, Array]:
        """The feature maps that the heads read, (C, h, w) float32 each."""
        return self.encoded.maps

    @cached_property
    def thumbnail(self) -> Array:
        """The image at the size of the network's input, (h, w, 3) uint8 CIELAB."""
        height, width = self.encoded.size
        small = cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_RGB2LAB)

    @property
    def nbytes(self) -> int:
        """The memory that it takes, about."""
        return self.pixels.nbytes + sum(one.nbytes for one in self.maps.values())
