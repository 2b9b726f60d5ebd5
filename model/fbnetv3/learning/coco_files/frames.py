"""From the pixels that labels were drawn on to those of the upright image: scaled, and turned as EXIF says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fbnetv3.learning.coco_files.image_sizes import TURNED, StoredSize

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

    def points(self, xy: np.ndarray) -> np.ndarray:
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

    def mask(self, drawn: np.ndarray) -> np.ndarray:
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


def is_same_ratio(one: Size, other: Size) -> bool:
    """Whether one is the other scaled, give or take a pixel of rounding in the smaller of the two."""
    small, large = sorted((one, other))
    differences = [abs(large[1 - side] * small[side] / large[side] - small[1 - side]) for side in (0, 1)]
    return min(differences) <= min(ROUNDING, ROUNDING_SHARE * min(small))


def frame_of(
    claimed: Size | None, image: StoredSize, boxes: np.ndarray, *, all_fit_stored: bool
) -> Frame | None:
    """How labels of an image lie whose record claims this size; None where that cannot be told.

    `boxes` (n, 4) float, x0, y0, x1, y1: the image's. `all_fit_stored`: whether those of all images of the file whose
    size is claimed as it is stored fit into it: one that does not was drawn on an upright image, as all others then.
    """
    upright = image.upright
    if claimed is None or claimed == upright or is_same_ratio(claimed, upright):
        return Frame(upright if claimed is None else claimed, upright)
    if lies_turned(claimed, image) and all_fit_stored:
        return Frame(claimed, upright, image.orientation)
    if is_same_ratio(claimed[::-1], upright) and fits(boxes, claimed[::-1]):
        return Frame(claimed[::-1], upright)
    return None


def lies_turned(claimed: Size, image: StoredSize) -> bool:
    """Whether the claimed size is that of the image in its file, which EXIF turns by a quarter."""
    return image.orientation in TURNED and is_same_ratio(claimed, image.stored)


def fits(boxes: np.ndarray, size: Size) -> bool:
    """Whether boxes (n, 4) lie within a size, give or take a pixel."""
    return bool(len(boxes) == 0 or (boxes[:, 2:] <= np.array(size) + 1).all())
