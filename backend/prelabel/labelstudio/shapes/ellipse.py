"""Ellipses: centre `x`, `y` and half axes `radiusX`, `radiusY` in percent of the image's width and height, `rotation`
in degrees clockwise about the centre.

Label Studio turns an ellipse in pixels, after the percentages: its axes stay perpendicular in any image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask, Instances
from prelabel.labelstudio.shapes.geometry import (
    PERCENT_DIGITS,
    Box,
    Drawn,
    RegionError,
    Size,
    Value,
    clipped,
    mask_at,
    room,
)

LARGEST_RADIUS, LARGEST_CENTRE = 50.0, 100.0
"""Percent; Label Studio's SDK refuses more."""

LEAST_POINTS = 5
"""What an ellipse through points needs."""


@dataclass(frozen=True)
class Ellipse:
    """In pixels: the centre, the half axes, and the angle of the first one in radians, clockwise from the right."""

    x: float
    y: float
    first: float
    second: float
    angle: float

    @property
    def box(self) -> Array:
        """Two corners (2, 2) of the box around it."""
        across = math.hypot(self.first * math.cos(self.angle), self.second * math.sin(self.angle))
        down = math.hypot(self.first * math.sin(self.angle), self.second * math.cos(self.angle))
        return np.array([[self.x - across, self.y - down], [self.x + across, self.y + down]])

    def fill(self, x: int, y: int, size: Size) -> Array:
        """The pixels (height, width) bool, the first of which is (x, y), whose centres lie inside."""
        rows, columns = np.ogrid[: size[0], : size[1]]
        right, down = columns + (x + 0.5 - self.x), rows + (y + 0.5 - self.y)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along = (right * cos + down * sin) / self.first
        across = (down * cos - right * sin) / self.second
        return along * along + across * across <= 1.0


def read(value: Value, image_size: Size) -> Drawn:
    """The box around the ellipse, and the pixels whose centres lie in it."""
    height, width = image_size
    ellipse = Ellipse(
        value["x"] / 100 * width,
        value["y"] / 100 * height,
        abs(value["radiusX"]) / 100 * width,  # negative where it was turned inside out while it was scaled
        abs(value["radiusY"]) / 100 * height,
        math.radians(value.get("rotation") or 0),
    )
    box = clipped(ellipse.box, image_size)
    if not ellipse.first or not ellipse.second:
        raise RegionError("has no area in the image")
    x, y, size = room(box)
    return box, mask_at(x, y, ellipse.fill(x, y, size))


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    """The ellipse that covers the mask best, or the one in the box where there is no mask."""
    box = _inside(instances.boxes[index], instances.image_size)
    mask = instances.masks[index] if instances.masks is not None else None
    if mask is not None and mask.area:
        yield fitted(mask, instances.image_size)
    elif box is not None:
        yield from islice(_values(_in_box(box), instances.image_size), 1)


def fitted(mask: BoxMask, image_size: Size) -> Value:
    """Of some ellipses that Label Studio takes, the value of the one that overlaps the mask most inside the image."""
    height, width = mask.bitmap.shape
    whole = _in_box((mask.x, mask.y, mask.x + width, mask.y + height))
    candidates = [whole, _of_moments(mask), *_of_outline(mask, image_size)]
    values = [value for one in candidates for value in _values(one, image_size)]
    return max(values, key=lambda value: _iou(value, mask, image_size))


def _inside(box: Array, image_size: Size) -> Box | None:
    try:
        return clipped(box.reshape(2, 2).astype(np.float64), image_size)
    except RegionError:
        return None


def _in_box(box: Box) -> Ellipse:
    x0, y0, x1, y1 = box
    return Ellipse((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, 0.0)


def _of_moments(mask: BoxMask) -> Ellipse:
    """The ellipse with the mask's centre, its directions and their proportion, and its area.

    A filled ellipse has a variance of a quarter of the half axis squared; a pixel itself one of a twelfth.
    """
    moments = cv2.moments(mask.bitmap.astype(np.uint8), binaryImage=True)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
    variances, axes = np.linalg.eigh(spread / moments["m00"] + np.eye(2) / 12)
    second, first = 2 * np.sqrt(variances)
    scale = math.sqrt(mask.area / (math.pi * first * second))
    x, y = (centre + np.array([mask.x, mask.y])).tolist()
    return Ellipse(x, y, float(scale * first), float(scale * second), math.atan2(axes[1, 1], axes[0, 1]))


def _of_outline(mask: BoxMask, image_size: Size) -> Iterator[Ellipse]:
    """The ellipse through the outline, but for where the edge of the image cuts it: of an object half outside the whole
    one. None where too little of the outline is left."""
    contours, _ = cv2.findContours(
        mask.bitmap.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(mask.x, mask.y)
    )
    outline = max(contours, key=len)[:, 0]
    free = outline[((outline > 0) & (outline < np.array(image_size[::-1]) - 1)).all(1)]
    if len(free) < LEAST_POINTS:
        return
    cv2.setRNGSeed(
        0
    )  # OpenCV moves points at random where they lie on a line, or are fewer than five different ones
    (x, y), (first, second), degrees = cv2.fitEllipse(free.astype(np.float32))
    numbers = np.array([x, y, first, second, degrees])
    if np.isfinite(numbers).all() and first > 0 and second > 0:
        # The outline runs through the centres of pixels, half a pixel inside the edge.
        yield Ellipse(x + 0.5, y + 0.5, first / 2 + 0.5, second / 2 + 0.5, math.radians(degrees))


def _values(ellipse: Ellipse, image_size: Size) -> Iterator[Value]:
    """What Label Studio writes of it, with either axis as the first; too long an axis is cut. None where the centre is
    too far outside."""
    height, width = image_size
    x, y = ellipse.x * 100 / width, ellipse.y * 100 / height
    if x > LARGEST_CENTRE or y > LARGEST_CENTRE:
        return
    for first, second, turned in ((ellipse.first, ellipse.second, 0), (ellipse.second, ellipse.first, 90)):
        yield {
            "x": round(x, PERCENT_DIGITS),
            "y": round(y, PERCENT_DIGITS),
            "radiusX": round(min(first * 100 / width, LARGEST_RADIUS), PERCENT_DIGITS),
            "radiusY": round(min(second * 100 / height, LARGEST_RADIUS), PERCENT_DIGITS),
            "rotation": round((math.degrees(ellipse.angle) + turned) % 180, PERCENT_DIGITS),
        }


def _iou(value: Value, mask: BoxMask, image_size: Size) -> float:
    """How far what is read of the value is the mask."""
    try:
        _, filled = read(value, image_size)
    except RegionError:
        return 0.0
    if filled is None:
        return 0.0
    shared = _shared(filled, mask)
    return shared / (filled.area + mask.area - shared)


def _shared(one: BoxMask, other: BoxMask) -> int:
    """The pixels that are set in both."""
    x0, y0 = max(one.x, other.x), max(one.y, other.y)
    x1 = min(one.x + one.bitmap.shape[1], other.x + other.bitmap.shape[1])
    y1 = min(one.y + one.bitmap.shape[0], other.y + other.bitmap.shape[0])
    if x0 >= x1 or y0 >= y1:
        return 0
    first, second = (
        mask.bitmap[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x] for mask in (one, other)
    )
    return int((first & second).sum())
