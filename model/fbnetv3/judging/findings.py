"""What a detector finds in labelled images, kept so that any score threshold can be judged without looking again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import add_example, empty_coco
from fbnetv3.data.examples import ChosenExamples, Example, Examples
from fbnetv3.detector import Detector
from fbnetv3.instances import Instances
from fbnetv3.judging.average_precision import to_results
from fbnetv3.judging.calibration import ScoredRegion
from fbnetv3.judging.outcomes import (
    ImageOutcome,
    Pair,
    has_outline,
    of_labels,
    outcome,
    pairs_of,
    partners_of,
)


@dataclass(frozen=True, eq=False)
class LabelFindings:
    """The regions and objects of one label in one image: a region is matched with objects of its own label only.

    `scores` (r,) float32, best first. `outlined` (n,) bool: objects whose mask is known. `pairs`, `box_pairs`: which
    regions may be taken for which objects, by masks where there are some, and by boxes alone.
    """

    scores: Array
    outlined: Array
    pairs: tuple[Pair, ...]
    box_pairs: tuple[Pair, ...]

    def outcome(self, threshold: float) -> ImageOutcome:
        """What a person finds when regions from `threshold` on are shown; one above 1 shows none."""
        shown = self.scores >= threshold
        return outcome((one for one in self.pairs if shown[one.region]), int(shown.sum()), self.outlined)

    def scored_regions(self, threshold: float) -> list[ScoredRegion]:
        """Each region with whether it is kept, by boxes: what calibration.py learns from.

        Regions that score less than `threshold`, which nobody is shown, may belong to the objects that the shown ones
        leave over: such a region tells of an object that has to be drawn.
        """
        kept = {region for region, _ in partners_of(self.box_pairs, self.scores >= threshold).values()}
        return [ScoredRegion(round(float(score), 4), i in kept) for i, score in enumerate(self.scores)]


@dataclass(frozen=True, eq=False)
class ImageFindings:
    """One labelled image and what one detector found in it.

    `size`: (height, width). `objects`, `results`: COCO annotations and results for AP, their categories the indices of
    the data's labels, their image and own ids not yet those of a data set. `of_label`: of every label with a region or
    an object. `has_masks`: whether the detector was asked for masks and has some.
    """

    size: tuple[int, int]
    objects: tuple[dict[str, Any], ...]
    results: tuple[dict[str, Any], ...]
    of_label: Mapping[str, LabelFindings]
    has_masks: bool

    def outcomes(self, thresholds: Mapping[str, float]) -> dict[str, ImageOutcome]:
        """Label -> what a person finds of it when its regions from its threshold on are shown."""
        return {label: one.outcome(thresholds[label]) for label, one in self.of_label.items()}

    def outcome(self, thresholds: Mapping[str, float]) -> ImageOutcome:
        """What a person finds of all labels together; see `outcomes`."""
        return ImageOutcome.total(self.outcomes(thresholds).values())

    def scored_regions(self, thresholds: Mapping[str, float]) -> list[ScoredRegion]:
        """All regions, best score first; see LabelFindings."""
        regions = [
            region for label, one in self.of_label.items() for region in one.scored_regions(thresholds[label])
        ]
        return sorted(regions, key=lambda region: region.score, reverse=True)


def findings_of(
    detector: Detector,
    examples: Examples,
    on_image: Callable[[], None] = lambda: None,
    *,
    boxes_only: bool = False,
) -> list[ImageFindings]:
    """Look at every image once, in order; labels are matched by name, and `on_image` is called after each image.

    `boxes_only`: as if the detector had no masks, which take most of the time; data without any is looked at so anyhow.
    Raises what reading the images raises.
    """
    knows_any = not set(examples.labels).isdisjoint(detector.labels)
    findings = []
    for index in range(len(examples)):
        example = examples[index]
        found = Instances.empty(example.image.shape[:2], examples.labels)
        if knows_any:
            found = _predict(detector, example.image, boxes_only or example.masks is None)
        findings.append(
            image_findings(found, example, examples.labels, detector.has_masks and not boxes_only)
        )
        on_image()
    return findings


def findings_by_key(
    lookers: Iterable[tuple[Detector, Sequence[int]]],
    images: Examples,
    keys: Sequence[str],
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, ImageFindings]:
    """Key -> findings, in the order of the images. `lookers`: detectors, one after the other, with the places of the
    images that each looks at; `keys`: what each image is known by. See `findings_of`.
    """
    found: dict[int, ImageFindings] = {}
    for detector, places in lookers:
        found |= zip(places, findings_of(detector, ChosenExamples(images, places), on_image), strict=True)
    return {keys[place]: found[place] for place in sorted(found)}


def image_findings(
    found: Instances, example: Example, labels: Sequence[str], has_masks: bool
) -> ImageFindings:
    """`found`: all that a detector found in the example. `labels`: what the example's classes mean."""
    truth = empty_coco(labels)
    add_example(truth, example)
    category_of = {label: index for index, label in enumerate(labels)}
    shown = of_labels(found, labels)
    return ImageFindings(
        size=shown.image_size,
        objects=tuple(truth["annotations"]),
        results=tuple(to_results(shown, 0, category_of, has_masks)),
        of_label=_by_label(shown, example, labels),
        has_masks=has_masks,
    )


def _predict(detector: Detector, image: Array, boxes_only: bool) -> Instances:
    if not boxes_only:
        return detector.predict([image])[0]
    [found] = detector.predict([image], mask_threshold=math.inf)
    return replace(found, masks=None)


def _by_label(shown: Instances, example: Example, labels: Sequence[str]) -> dict[str, LabelFindings]:
    names = np.array(shown.labels, object)
    outlined = has_outline(example)
    all_pairs = list(pairs_of(shown, example, labels))
    box_pairs = list(pairs_of(replace(shown, masks=None), example, labels))
    findings = {}
    for class_, label in enumerate(labels):
        regions = np.flatnonzero(names == label)
        objects = np.flatnonzero(example.classes == class_)
        if len(regions) or len(objects):
            findings[label] = LabelFindings(
                shown.scores[regions],
                outlined[objects],
                _within(all_pairs, regions, objects),
                _within(box_pairs, regions, objects),
            )
    return findings


def _within(pairs: Sequence[Pair], regions: Array, objects: Array) -> tuple[Pair, ...]:
    """The pairs of a label's objects, with indices into its own regions and objects."""
    region_of = {region: i for i, region in enumerate(regions.tolist())}
    object_of = {object_: i for i, object_ in enumerate(objects.tolist())}
    return tuple(
        one._replace(region=region_of[one.region], object_=object_of[one.object_])
        for one in pairs
        if one.object_ in object_of
    )
