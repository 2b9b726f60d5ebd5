"""From the pixels that labels were drawn on to those of the upright image: scaled, and turned as EXIF says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fbnetv3.arrays import Array
from fbnetv3.data.coco_files.image_sizes import TURNED, StoredSize

Size = tuple[float, float]
"""(width, height) in pixels."""

ROUNDING, ROUNDING_SHARE = 1.0, 0.02
"""By how many pixels, and by which share of a side, a size may be off that a tool has rounded."""


@dataclass(frozen=True)
class Frame:
    """`drawn`: the size that labels refer to. `size`: the upright image's. `orientation`: EXIF's, where labels were
    drawn on the image as it lies in its file, else 1.
    """

    drawn: Size
    size: tuple[int, int]
    orientation: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether labels stay where they are."""
        return self.orientation == 1 and self.drawn == self.size

    @property
    def area_factor(self) -> float:
        """By how much an area grows."""
        return self.size[0] * self.size[1] / (self.drawn[0] * self.drawn[1])

    def points(self, xy: Array) -> Array:
        """Points (n, 2) float, x and y, in the upright image."""
        width, height = self.size if self.orientation not in TURNED else self.size[::-1]
        x, y = xy[:, 0] * width / self.drawn[0], xy[:, 1] * height / self.drawn[1]
        match self.orientation:
            case 5:
                x, y = y, x
            case 6:
                x, y = height - y, x
            case 7:
                x, y = height - y, width - x
            case 8:
                x, y = y, width - x
        return np.stack([x, y], 1)

    def mask(self, drawn: Array) -> Array:
        """A mask (height, width) of bool, of the drawn size or one of its ratio, in the upright image."""
        width, height = self.size if self.orientation not in TURNED else self.size[::-1]
        if drawn.shape != (height, width):
            resized = Image.fromarray(drawn).resize((width, height), Image.Resampling.NEAREST)
            drawn = np.asarray(resized)
        match self.orientation:
            case 5:
                return drawn.T
            case 6:
                return np.rot90(drawn, -1)
            case 7:
                return np.rot90(drawn.T, 2)
            case 8:
                return np.rot90(drawn)
        return drawn


ANYWHERE = Frame((1e9, 1e9), (10**9, 10**9))
"""Of no image: outlines are read as they are written."""


def is_same_ratio(one: Size, other: Size) -> bool:
    """Whether one is the other scaled, give or take a pixel of rounding in the smaller of the two."""
    small, large = sorted((one, other))
    differences = [abs(large[1 - side] * small[side] / large[side] - small[1 - side]) for side in (0, 1)]
    return min(differences) <= min(ROUNDING, ROUNDING_SHARE * min(small))


def frame_of(
    claimed: Size | None,
    image: StoredSize,
    boxes: Array,
    *,
    all_fit_stored: bool,
    scaled_fit: bool,
) -> Frame | None:
    """How labels of an image lie whose record claims this size; None where that cannot be told.

    `boxes` (n, 4) float, x0, y0, x1, y1: the image's. `all_fit_stored`: whether those of all images of the file whose
    size is claimed as it is stored fit into it: one that does not was drawn on an upright image, as all others then.
    `scaled_fit`: whether those of the images whose size is claimed smaller or larger lie where it is claimed.
    """
    upright = image.upright
    if claimed is None or claimed == upright:
        return Frame(upright, upright)
    if is_scaled(claimed, image):
        return Frame(claimed, upright) if scaled_fit else _plain_if(fits(boxes, upright), upright)
    if lies_turned(claimed, image) and all_fit_stored:
        return Frame(claimed, upright, image.orientation)
    if is_same_ratio(claimed[::-1], upright) and fits(boxes, claimed[::-1]):
        return Frame(claimed[::-1], upright)
    return None


def is_scaled(claimed: Size, image: StoredSize) -> bool:
    """Whether the claimed size is another one of the same ratio."""
    return claimed != image.upright and is_same_ratio(claimed, image.upright)


def share_outside(placed: Iterable[tuple[Array, Size]]) -> float:
    """Of all boxes (n, 4), each with the size that is claimed for its image, the share whose centre lies outside."""
    outside = [(boxes[:, :2] + boxes[:, 2:] > 2 * np.array(size)).any(1) for boxes, size in placed]
    every = np.concatenate([np.zeros(0, bool), *outside])
    return float(every.mean()) if every.size else 0.0


def lies_turned(claimed: Size, image: StoredSize) -> bool:
    """Whether the claimed size is that of the image in its file, which EXIF turns by a quarter."""
    return image.orientation in TURNED and is_same_ratio(claimed, image.stored)


def _plain_if(condition: bool, upright: tuple[int, int]) -> Frame | None:
    return Frame(upright, upright) if condition else None


def fits(boxes: Array, size: Size) -> bool:
    """Whether boxes (n, 4) lie within a size, give or take a pixel."""
    return bool(len(boxes) == 0 or (boxes[:, 2:] <= np.array(size) + 1).all())
