"""The objects of one image: what the detector returns, what labels are turned into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array


@dataclass(frozen=True, eq=False)
class BoxMask:
    """A binary mask kept only where it can be set, so that a hundred masks of a large photo stay small.

    `bitmap` is (h, w) bool; its pixel (0, 0) is pixel (`x`, `y`) of the upright image.
    """

    x: int
    y: int
    bitmap: Array

    @classmethod
    def from_full(cls, mask: Array) -> BoxMask:
        """Crop a full-size mask (H, W) to its set pixels; an empty mask becomes NO_MASK."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return NO_MASK
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        return cls(int(x0), int(y0), np.ascontiguousarray(mask[y0:y1, x0:x1], dtype=bool))

    def full(self, image_size: tuple[int, int]) -> Array:
        """The mask at the size of the image: (height, width) bool."""
        canvas = np.zeros(image_size, bool)
        height, width = self.bitmap.shape
        canvas[self.y : self.y + height, self.x : self.x + width] = self.bitmap
        return canvas

    @property
    def area(self) -> int:
        """Set pixels."""
        return int(self.bitmap.sum())


NO_MASK = BoxMask(0, 0, np.zeros((0, 0), bool))
"""Where others have one: of an object whose mask is not known, or was not asked for."""


@dataclass(frozen=True, eq=False)
class Instances:
    """n objects of one image, best score first.

    `image_size`: (height, width) of the upright image in pixels. `boxes`: (n, 4) float32, x0, y0, x1, y1 in
    pixels of that image. `scores`: (n,) float32 in 0..1. `classes`: (n,) int64, indices into `label_names`.
    `masks`: n masks, an empty one where none was asked for; None from a network without a mask head.
    """

    image_size: tuple[int, int]
    boxes: Array
    scores: Array
    classes: Array
    label_names: tuple[str, ...]
    masks: tuple[BoxMask, ...] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def labels(self) -> list[str]:
        """The label of every object."""
        return [self.label_names[index] for index in self.classes]

    def select(self, keep: Sequence[int] | Array) -> Instances:
        """The objects at these indices (or where this (n,) bool array is true), in that order."""
        index = np.asarray(keep)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        masks = None if self.masks is None else tuple(self.masks[i] for i in index)
        return Instances(
            self.image_size,
            self.boxes[index],
            self.scores[index],
            self.classes[index],
            self.label_names,
            masks,
        )

    @classmethod
    def empty(
        cls, image_size: tuple[int, int], label_names: tuple[str, ...], with_masks: bool = False
    ) -> Instances:
        """No objects at all."""
        return cls(
            image_size,
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
            label_names,
            () if with_masks else None,
        )
