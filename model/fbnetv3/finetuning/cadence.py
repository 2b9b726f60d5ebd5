"""When the next training pays: once there are a few labelled images, or one that is full of objects, and then whenever
they have grown by a share.

What a training adds depends on how many images it had already seen: ten more are much after ten, and nothing after a
thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

FIRST = 3
"""Labelled images of the first training: with fewer, there is hardly anything to judge by."""

MANY_OBJECTS = 8
"""In one image, they are enough for a first training: where there are so many to draw, help is wanted most, and what is
learnt from the first image finds most of the next one's (docs/learning.md)."""

GROWTH = 0.5
"""3, 5, 8, 12, 18, 27, 41, 62, 93: trainings are many where each changes much, and all of them together have seen three
times the images of the last."""

ROUNDING = 1e-9
"""What a share as a float may be too large by: 0.07 of 100 is 7."""


@dataclass(frozen=True)
class Cadence:
    """`first`: labelled images of the first training, 1 or more; above FIRST, many objects do not count. `growth`:
    share, above 0, of the images that a training had seen by which they are to grow before the next one, rounded up."""

    first: int = FIRST
    growth: float = GROWTH

    def after(self, labelled: int) -> int:
        """At how many labelled images the next training is due, when the last one had seen so many."""
        if labelled < self.first:
            return self.first
        return labelled + max(ceil(self.growth * labelled - ROUNDING), 1)

    def is_enough(self, labelled: int, objects: int) -> bool:
        """Whether a training may be made of so many labelled images, one of which has so many `objects`."""
        return labelled >= self.first or (self.first <= FIRST and objects >= MANY_OBJECTS)

    def is_due(self, labelled: int, decided: int = 0, tried: int = 0, objects: int = 0) -> bool:
        """Whether so many labelled images are enough for another training.

        `decided`: how many the last training had seen that was judged, 0 for none. `tried`: the same of the last that
        began, whatever became of it: where it came to no judgement, a share of those is waited for. `objects`: in the
        one of the new images that has most.
        """
        if not decided and not tried and self.is_enough(labelled, objects):
            return True
        due = self.after(decided)
        return labelled >= (due if tried < due else self.after(tried))
