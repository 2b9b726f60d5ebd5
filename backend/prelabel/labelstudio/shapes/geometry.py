"""What all shapes share: percent of the image and pixels, boxes inside the image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the upright image."""

Drawn = tuple[Box, BoxMask | None]
"""What a region shows; the mask is None where it is not known."""

Value = Mapping[str, Any]
"""The `value` of a region, or the part of it that says where it is."""

Size = tuple[int, int]
"""(height, width) of the upright image in pixels."""

PERCENT_DIGITS = 4
"""Decimals of a percentage: 0.0001 % of an image 10,000 pixels wide is a hundredth of a pixel."""


class RegionError(ValueError):
    """A region that cannot be read; the message is the rest of a sentence about it."""


def turned_corners(corner: Array, width: float, height: float, degrees: float) -> Array:
    """The corners (4, 2) of a rectangle in pixels, turned clockwise about its top left `corner` (x, y)."""
    turn = math.radians(degrees)
    along = np.array([math.cos(turn), math.sin(turn)]) * width
    below = np.array([-math.sin(turn), math.cos(turn)]) * height
    return corner + np.stack([along * 0, along, along + below, below])


def percent(points: Array, image_size: Size) -> Array:
    """Points (n, 2) x, y in pixels as percent of the image, moved onto its edge where they lie outside."""
    height, width = image_size
    scaled = points.astype(np.float64) * (100 / width, 100 / height)
    return np.clip(scaled, 0, 100).round(PERCENT_DIGITS)


def clipped(points: Array, image_size: Size) -> Box:
    """The box around points (n, 2) in pixels, inside the image. Raises RegionError."""
    if not np.isfinite(points).all():
        raise RegionError("cannot be read: its geometry is not a number")
    inside = np.clip(points, 0, image_size[::-1])
    (x0, y0), (x1, y1) = inside.min(0).tolist(), inside.max(0).tolist()
    if x0 >= x1 or y0 >= y1:
        raise RegionError("has no area in the image")
    return x0, y0, x1, y1


def room(box: Box) -> tuple[int, int, Size]:
    """The whole pixels that a box touches: x and y of the first, and (height, width)."""
    x0, y0 = math.floor(box[0]), math.floor(box[1])
    return x0, y0, (math.ceil(box[3]) - y0, math.ceil(box[2]) - x0)


def mask_at(x: int, y: int, bitmap: Array) -> BoxMask | None:
    """The mask whose pixel (0, 0) is (x, y), without its empty room; None where nothing is set."""
    mask = BoxMask.from_full(bitmap)
    return BoxMask(x + mask.x, y + mask.y, mask.bitmap) if mask.area else None


def drawn_mask(mask: BoxMask) -> Drawn:
    """A mask and the box around its pixels. Raises RegionError where nothing is set."""
    if not mask.area:
        raise RegionError("has no area")
    height, width = mask.bitmap.shape
    return (float(mask.x), float(mask.y), float(mask.x + width), float(mask.y + height)), mask
