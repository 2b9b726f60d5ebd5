"""What provisional heads find in images that they were not fitted to: how good the head of all images is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fbnetv3.data.examples import ChosenExamples, Examples
from fbnetv3.detector import Detector
from fbnetv3.judging.findings import ImageFindings, findings_of
from fbnetv3.provisional.detector import provisional_detector
from fbnetv3.provisional.fitting import fit_head
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.regions import LabelledRegions

MOST_FOLDS = 10
"""A head each: with fewer images each is left out alone."""


def left_out_findings(
    base: Detector,
    images: Examples,
    regions: Sequence[LabelledRegions],
    start: RegionHead,
    on_image: Callable[[], None] = lambda: None,
    *,
    boxes_only: bool = False,
) -> list[ImageFindings]:
    """For each image what a head finds that was fitted to the others; `regions`: those of the images, in order.

    `start`: see `fit_head`; it is what a lone image is looked at with. Raises what reading the images raises.
    """
    found: dict[int, ImageFindings] = {}
    folds = min(len(images), MOST_FOLDS)
    for first in range(folds):
        places = range(first, len(images), folds)
        others = [one for place, one in enumerate(regions) if place % folds != first]
        head = fit_head(others, start) if others else start
        detector = provisional_detector(base, head, base.version)
        left_out = findings_of(detector, ChosenExamples(images, places), on_image, boxes_only=boxes_only)
        found |= zip(places, left_out, strict=True)
    return [found[place] for place in range(len(images))]
