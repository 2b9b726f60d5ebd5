"""From evidence to probabilities that can be compared across kinds: two logistic regressions with fixed weights.

They were fitted to errors injected at a known rate into clean data sets (benchmarks/label_errors.py --fit prints them;
docs/review.md names the sets, and has figures for weights that were fitted without the set in question).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array, sigmoid, softmax
from fbnetv3.review.label_issues import IssueKind

#: What a labelled object may be: right (None), or wrong in one of three ways.
OUTCOMES: tuple[IssueKind | None, ...] = (None, "swapped_label", "badly_placed", "spurious")


@dataclass(frozen=True)
class Likelihoods:
    """`objects`: a row for each of OUTCOMES, weights of the values of `OfObjects` and an offset. `detections`: those
    of `OfDetections` and an offset. The confidences are those of a set in which each kind of error has struck one
    object in ten; in a cleaner one they are too high, in the same order.
    """

    objects: Sequence[Sequence[float]]
    detections: Sequence[float]

    def of_objects(self, values: Array, can_be_swapped: bool) -> Array:
        """(m, 5) -> probabilities (m, 4) of OUTCOMES. `can_be_swapped`: False where there is one label only."""
        logits = _with_one(values) @ np.array(self.objects).T
        if not can_be_swapped:
            logits[:, OUTCOMES.index("swapped_label")] = -np.inf
        return softmax(logits)

    def of_detections(self, values: Array) -> Array:
        """(k, 3) -> probabilities (k,) that an object was overlooked."""
        return sigmoid(_with_one(values) @ np.array(self.detections))


def _with_one(values: Array) -> Array:
    return np.column_stack([values, np.ones(len(values))])


LIKELIHOODS = Likelihoods(
    objects=(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (-1.44, 1.2, -2.96, 2.25, -4.52, -4.57),
        (-0.25, -0.01, -9.1, -3.32, 2.37, -2.6),
        (-0.89, -0.1, -5.03, -4.56, -0.65, -3.34),
    ),
    detections=(2.73, 3.91, -1.91, 1.39),
)
"""Higher scores for the label: right. For another one: swapped. A box that the network would redraw: badly placed."""
