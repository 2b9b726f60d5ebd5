"""How large and how elongated the labelled objects of a label are, and how unlike them another box is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Examples

FEWEST_OBJECTS = 10
"""Of a label: fewer do not say what is usual."""

USUAL = 3.5
"""Spreads from the median up to which a value is usual (Iglewicz and Hoaglin 1993, modified z-score)."""

LEAST_SPREAD = 0.1
"""Of a logarithm: a tenth more or less is what careful people differ by."""

NORMAL = 1.4826
"""Times the median absolute deviation, the standard deviation of a normal distribution."""


@dataclass(frozen=True, eq=False)
class UsualSizes:
    """By label: median and spread, (2, 2) each row of them, of the logarithms of a box's side and of its elongation.

    The side is the root of the area as a share of the image's shorter side; elongation is height over width. Labels
    with few objects are left out.
    """

    ranges: Mapping[str, Array]

    @classmethod
    def of(cls, examples: Examples) -> UsualSizes:
        """Of labelled examples; each is read once."""
        measured: dict[str, list[Array]] = {label: [] for label in examples.labels}
        for index in range(len(examples)):
            example = examples[index]
            values = measures(example.boxes, example.image.shape[:2])
            for class_, value in zip(example.classes.tolist(), values, strict=True):
                measured[examples.labels[class_]].append(value)
        return cls(
            {
                label: _median_and_spread(np.stack(values))
                for label, values in measured.items()
                if len(values) >= FEWEST_OBJECTS
            }
        )

    def strangeness(self, label: str, box: Array, image_size: tuple[int, ...]) -> float:
        """How many spreads a box (4,) is from what is usual for its label, in the worse of the two respects."""
        if label not in self.ranges:
            return 0.0
        median, spread = self.ranges[label]
        return float((np.abs(measures(box[None], image_size)[0] - median) / spread).max())


def measures(boxes: Array, image_size: tuple[int, ...]) -> Array:
    """Boxes (n, 4) in an image of this (height, width) -> (n, 2): logarithms of side and elongation."""
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3).T
    return np.stack([np.log(np.sqrt(width * height) / min(image_size)), np.log(height / width)], 1)


def _median_and_spread(values: Array) -> Array:
    median = np.median(values, 0)
    spread = NORMAL * np.median(np.abs(values - median), 0)
    return np.stack([median, np.maximum(spread, LEAST_SPREAD)])
