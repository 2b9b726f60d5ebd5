"""The views of an image that training sees: a handful, so that what the frozen stages make of them can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Example
from fbnetv3.images import network_size, to_network


@dataclass(frozen=True)
class View:
    """One way to look at an image: resized by `scale` against the plan's input size, mirrored, brighter or darker.

    `gain` and `shift` act on pixel values 0..255: value * gain + shift, clipped.
    """

    scale: float = 1.0
    mirrored: bool = False
    gain: float = 1.0
    shift: float = 0.0


#: Contrast changes by up to this share, brightness by up to this many grey levels: what daylight does to a photo.
GAIN, SHIFT = 0.2, 20.0


def make_views(count: int, scales: Sequence[float], flip: bool, seed: int) -> tuple[View, ...]:
    """`count` views: the first is the image as it is, the others take turns with sizes and mirroring."""
    rng = np.random.default_rng(seed)
    views = [View()]
    for number in range(1, count):
        mirrored = flip and number % 2 == 1
        scale = scales[(number // 2 if flip else number) % len(scales)]
        gain, shift = rng.uniform(1 - GAIN, 1 + GAIN), rng.uniform(-SHIFT, SHIFT)
        views.append(View(scale, mirrored, round(float(gain), 3), round(float(shift), 1)))
    return tuple(views[:count])


def view_size(image_size: tuple[int, int], view: View, min_size: int, max_size: int) -> tuple[int, int]:
    """(height, width) of the network's input for an image of this (height, width)."""
    return network_size(*image_size, round(min_size * view.scale), round(max_size * view.scale))


def look(example: Example, view: View, min_size: int, max_size: int) -> Array:
    """The network's input: (3, h, w) float32, blue, green, red, 0..255, not mirrored yet."""
    size = view_size(example.image.shape[:2], view, min_size, max_size)
    pixels = to_network(example.image, size)
    if (view.gain, view.shift) != (1.0, 0.0):
        pixels = (pixels * view.gain + view.shift).clip(0, 255)
    return pixels[:, :, ::-1] if view.mirrored else pixels
