"""Rectangles: `x`, `y`, `width`, `height` in percent, `rotation` in degrees clockwise about the top left corner."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import Instances
from prelabel.labelstudio.shapes.geometry import (
    PERCENT_DIGITS,
    Drawn,
    Size,
    Value,
    clipped,
    percent,
    turned_corners,
)


def read(value: Value, image_size: Size) -> Drawn:
    """The rectangle, or the tight box around a rotated one; its mask is not known."""
    return clipped(_corners(value, image_size), image_size), None


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    """The part of an instance's box that lies in the image; nothing where none does."""
    box = instances.boxes[index]
    (x0, y0), (x1, y1) = percent(box.reshape(2, 2), instances.image_size)
    if x0 < x1 and y0 < y1:
        width, height = round(x1 - x0, PERCENT_DIGITS), round(y1 - y0, PERCENT_DIGITS)
        yield {"x": float(x0), "y": float(y0), "width": float(width), "height": float(height), "rotation": 0}


def _corners(value: Value, image_size: Size) -> Array:
    """(4, 2) x, y in pixels."""
    height, width = image_size
    corner = np.array([value["x"] / 100 * width, value["y"] / 100 * height])
    across, down = value["width"] / 100 * width, value["height"] / 100 * height
    return turned_corners(corner, across, down, value.get("rotation") or 0)
