"""Pre-labels that are worth a look before they are accepted in bulk: unsure ones, doubles, strange sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import Instances
from fbnetv3.review.duplicates import duplicates
from fbnetv3.review.findings import Finding
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
) -> list[Finding]:
    """Findings in the regions that would be accepted, the likeliest first; `image` and `objects` index `instances`.

    "spurious": kept with a probability below `least` (0..1), by `calibration`, None takes scores as they are.
    "duplicate": of two regions of one object the surer one is to be kept. "badly_placed": of a size or shape that is
    not `usual` among the labelled objects of its label; no correction is suggested.
    """
    found: list[Finding] = []
    for image, regions in enumerate(instances):
        kept = regions.scores if calibration is None else calibration(regions.scores)
        found += (
            Finding("spurious", float(1 - kept[region]), image, (int(region),))
            for region in np.flatnonzero(kept < least)
        )
        found += _doubles(image, regions)
        if usual is not None:
            found += _strange(image, regions, usual)
    return sorted(found, key=lambda finding: -finding.confidence)


def _doubles(image: int, regions: Instances) -> Iterator[Finding]:
    for one, other, confidence in duplicates(regions.boxes, regions.classes, regions.masks):
        keep, delete = (one, other) if regions.scores[one] >= regions.scores[other] else (other, one)
        yield Finding("duplicate", confidence, image, (delete, keep))


def _strange(image: int, regions: Instances, usual: UsualSizes) -> Iterator[Finding]:
    """What is r spreads away from the usual has at most 1 / r^2 of everything beyond it (Chebyshev's inequality)."""
    for region, (label, box) in enumerate(zip(regions.labels, regions.boxes, strict=True)):
        distance = usual.strangeness(label, box, regions.image_size)
        if distance > USUAL:
            yield Finding("badly_placed", 1 - (1 / distance) ** 2, image, (region,))
