"""The operating point: from which score on the regions of each label are shown, so that a person saves most seconds.

One threshold for everything is wrong in both ways: a label whose objects score low is hidden, and a label whose regions
are mostly wrong costs deletions. Here every label has the threshold that costs a person least on images that the
detector has not trained on. Few images say little, so a label's own seconds are joined by two other voices: those of
the other labels, as if they were OTHERS objects of this one, and the default threshold, from which a distance costs
seconds that no longer matter once there are many objects. Less than the default is only chosen where the regions are
at least as often right as wrong: an outline takes as long as 26 deletions, but nobody wants to delete all day.
docs/gate.md has what that saves, by the number of images, and how the two numbers were chosen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.judging.calibration import provenance_in
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.findings import ImageFindings, LabelFindings

#: What can be chosen, and NOTHING: the network reports nothing below 0.05.
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
#: No region scores as much: the label is not shown, because drawing its objects from nothing costs less.
NOTHING = 1.01
#: The objects of the other labels weigh as this many of a label's own, or as many as they are.
OTHERS = 3.0
#: The seconds that drawing this many objects takes are what a threshold costs that lies 1 from the default.
DEFAULT = 0.5
#: Seconds that leave the default where nothing else says anything.
TINY = 1e-6

IN_WEIGHTS = "thresholds"
"""In the provenance of weights that `prelabel train` wrote, as JSON: their operating point."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What a person finds by threshold, and the seconds that it takes, each (images, labels, thresholds).

    `right`, `wrong`: regions that belong to an object, and others. `objects`, `without` (images, labels): how many
    there are, and the seconds that drawing them takes. `thresholds`: in ascending order, `default` among them.
    """

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    default: float
    seconds: Array
    right: Array
    wrong: Array
    objects: Array
    without: Array

    @classmethod
    def of(
        cls,
        found: Sequence[Mapping[str, LabelFindings]],
        labels: Sequence[str],
        effort: Effort,
        default: float,
    ) -> Curves:
        """The curves of these images; `found`: in each, by label."""
        thresholds = tuple(sorted({*THRESHOLDS, default, NOTHING}))
        seconds, right, wrong = np.zeros((3, len(found), len(labels), len(thresholds)))
        objects, without = np.zeros((2, len(found), len(labels)))
        for i, by_label in enumerate(found):
            for j, label in enumerate(labels):
                if one := by_label.get(label):
                    outcomes = [one.outcome(threshold) for threshold in thresholds]
                    seconds[i, j] = [seconds_with([seen], effort) for seen in outcomes]
                    right[i, j] = [seen.found for seen in outcomes]
                    wrong[i, j] = [seen.false_positives for seen in outcomes]
                    objects[i, j] = outcomes[-1].objects
                    without[i, j] = seconds_without(outcomes[-1:], effort)
        return cls(tuple(labels), thresholds, default, seconds, right, wrong, objects, without)

    def best(self) -> dict[str, float]:
        """The threshold of each label, from all images."""
        return self._best(*self._totals)

    def best_without(self, index: int) -> dict[str, float]:
        """The threshold of each label, from all images but this one."""
        return self._best(*(total - one[index] for total, one in zip(self._totals, self._sums, strict=True)))

    def best_without_each(self) -> list[dict[str, float]]:
        """For each image the threshold of each label, from all others: to judge the choice by what it has not seen."""
        return [self.best_without(index) for index in range(len(self.seconds))]

    @property
    def _sums(self) -> tuple[Array, ...]:
        return self.seconds, self.right, self.wrong, self.objects, self.without

    @cached_property
    def _totals(self) -> tuple[Array, ...]:
        return tuple(one.sum(0) for one in self._sums)

    def _best(
        self, seconds: Array, right: Array, wrong: Array, objects: Array, without: Array
    ) -> dict[str, float]:
        """`seconds`, `right`, `wrong` (labels, thresholds); `objects`, `without` (labels,)."""
        weight = np.minimum(1.0, OTHERS / np.maximum(objects.sum() - objects, 1))[:, None]
        seconds, right, wrong = (one + weight * (one.sum(0) - one) for one in (seconds, right, wrong))
        thresholds = np.array(self.thresholds)
        drawing = max(without.sum() / max(objects.sum(), 1), TINY)
        cost = seconds + DEFAULT * drawing * np.abs(thresholds - self.default)
        chosen = np.where((wrong > right) & (thresholds < self.default), np.inf, cost).argmin(1)
        return {label: self.thresholds[int(i)] for label, i in zip(self.labels, chosen, strict=True)}


def operating_point(
    findings: Sequence[ImageFindings], labels: Sequence[str], effort: Effort, default: float
) -> dict[str, float]:
    """The score threshold of every label: one of THRESHOLDS, `default`, or NOTHING, which is above every score.

    `findings`: of images that the detector has not trained on; without any, all thresholds are `default`, 0..1.
    """
    return Curves.of([one.of_label for one in findings], labels, effort, default).best()


def thresholds_of(provenance: Mapping[str, str]) -> dict[str, float] | None:
    """The operating point in the provenance of weights; None where there is none that can be read."""
    try:
        thresholds = json.loads(provenance[IN_WEIGHTS])
        return {label: float(threshold) for label, threshold in thresholds.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def thresholds_in(weights: Path) -> dict[str, float] | None:
    """The operating point that a safetensors file carries, if any. Takes no PyTorch."""
    return thresholds_of(provenance_in(weights))
