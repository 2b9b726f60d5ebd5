"""When the next training pays: once there are a few labelled images, and then whenever they have grown by a share.

What a training adds depends on how many images it had already seen: ten more are much after ten, and nothing after a
thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

FIRST = 5
"""Labelled images of the first training. A fifth is held out to judge by: of three images none is in four of ten
projects (half of them where tasks are labelled in another order than they were imported), and nothing could be judged.
"""

GROWTH = 0.5
"""5, 8, 12, 18, 27, 41, 62, 93: trainings are many where each changes much, and all of them together have seen three
times the images of the last."""

ROUNDING = 1e-9
"""What a share as a float may be too large by: 0.07 of 100 is 7."""


@dataclass(frozen=True)
class Cadence:
    """`first`: labelled images of the first training, 1 or more. `growth`: share, above 0, of the images that a
    training had seen by which they are to grow before the next one, rounded up."""

    first: int = FIRST
    growth: float = GROWTH

    def after(self, labelled: int) -> int:
        """At how many labelled images the next training is due, when the last one had seen so many."""
        if labelled < self.first:
            return self.first
        return labelled + max(ceil(self.growth * labelled - ROUNDING), 1)

    def is_due(self, labelled: int, decided: int = 0, tried: int = 0) -> bool:
        """Whether so many labelled images are enough for another training.

        `decided`: how many the last training had seen that was judged, 0 for none. `tried`: the same of the last that
        began, whatever became of it: where it came to no judgement, a share of those is waited for.
        """
        due = self.after(decided)
        return labelled >= (due if tried < due else self.after(tried))
