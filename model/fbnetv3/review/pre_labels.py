"""Pre-labels that are worth checking before they are accepted in bulk: unsure ones, duplicates, strange sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import Instances
from fbnetv3.review.duplicates import duplicates
from fbnetv3.review.label_issues import LabelIssue
from fbnetv3.review.sizes import USUAL, UsualSizes

#: Scores (n,) 0..1 -> the probability that a person keeps each region: `fbnetv3.judging.calibration.Calibration`.
Calibrated = Callable[[Array], Array]

LEAST = 0.5
"""Regions that a person more likely deletes than keeps."""


def review_predictions(
    instances: Sequence[Instances],
    calibration: Calibrated | None = None,
    *,
    usual: UsualSizes | None = None,
    least: float = LEAST,
) -> list[LabelIssue]:
    """Issues of the regions that would be accepted, the likeliest first; `image` and `objects` index `instances`.

    "spurious": kept with a probability below `least` (0..1), by `calibration`, None takes scores as they are.
    "duplicate": of two regions of one object the surer one is to be kept. "badly_placed": of a size or shape that is
    not `usual` among the labelled objects of its label; no correction is suggested.
    """
    found: list[LabelIssue] = []
    for image, regions in enumerate(instances):
        kept = regions.scores if calibration is None else calibration(regions.scores)
        found += (
            LabelIssue("spurious", float(1 - kept[region]), image, (int(region),))
            for region in np.flatnonzero(kept < least)
        )
        found += _duplicates(image, regions)
        if usual is not None:
            found += _strange(image, regions, usual)
    return sorted(found, key=lambda issue: -issue.confidence)


def _duplicates(image: int, regions: Instances) -> Iterator[LabelIssue]:
    for one, other, confidence in duplicates(regions.boxes, regions.classes, regions.masks):
        keep, delete = (one, other) if regions.scores[one] >= regions.scores[other] else (other, one)
        yield LabelIssue("duplicate", confidence, image, (delete, keep))


def _strange(image: int, regions: Instances, usual: UsualSizes) -> Iterator[LabelIssue]:
    """What is r spreads away from the usual has at most 1 / r^2 of everything beyond it (Chebyshev's inequality)."""
    for region, (label, box) in enumerate(zip(regions.labels, regions.boxes, strict=True)):
        distance = usual.strangeness(label, box, regions.image_size)
        if distance > USUAL:
            yield LabelIssue("badly_placed", 1 - (1 / distance) ** 2, image, (region,))
