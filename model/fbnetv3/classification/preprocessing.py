"""An image of any size to what the classifier looks at.

As mobile_cv prepares images for `dmasking_l3` (torchvision's Resize(328), CenterCrop(288), ToTensor, Normalize), in
Pillow and numpy alone.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fbnetv3.arrays import Array

#: The shorter side before the crop, and the side of the crop.
RESIZED, CROPPED = 328, 288
#: Of ImageNet's red, green and blue, for values from 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
#: Of a longer image only the middle is resized: of a line of a million pixels nothing else would fit into memory.
LONGEST = 8


def to_input(image: Array) -> Array:
    """(H, W, 3) uint8 RGB -> (1, 3, 288, 288) float32; what lies outside the square in the middle is not seen."""
    cropped = centre_crop(_resize(_middle(image)), (CROPPED, CROPPED))
    values = (cropped.astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def centre_crop(image: Array, size: tuple[int, int]) -> Array:
    """The middle (height, width) of an image; an odd pixel over goes where torchvision leaves it."""
    top, left = (round((side - wanted) / 2) for side, wanted in zip(image.shape, size, strict=False))
    return image[top : top + size[0], left : left + size[1]]


def _middle(image: Array) -> Array:
    height, width = image.shape[:2]
    longest = LONGEST * min(height, width)
    return centre_crop(image, (min(height, longest), min(width, longest)))


def _resize(image: Array) -> Array:
    """The shorter side at 328; the longer one is cut to whole pixels, as torchvision does."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    size = int(RESIZED * width / shorter), int(RESIZED * height / shorter)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
