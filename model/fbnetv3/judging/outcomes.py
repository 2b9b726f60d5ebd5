"""What a person finds when an image opens with its pre-labels: right, to be corrected, missing, to be deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Example, Examples
from fbnetv3.detector import Detector, Threshold
from fbnetv3.instances import Instances
from fbnetv3.overlap import box_iou, mask_iou

#: From this IoU on a person leaves a region as it is; a mask differs from another along its whole outline.
GOOD_BOX = 0.8
GOOD_MASK = 0.75
#: From this IoU of the boxes on a region is worth correcting; below, it is deleted and the object is drawn.
FOUND_BOX = 0.5


@dataclass(frozen=True)
class ImageOutcome:
    """One image's pre-labels against its labelled objects, in counts.

    `found`: objects with a region of their label, box IoU >= 0.5 or good; `no_edit`: those of them whose region is
    good. `false_positives`: regions that belong to no object, duplicates too. `outlined`, `outlined_found`,
    `outlined_no_edit`: the part of `objects`, `found`, `no_edit` whose masks are known.
    """

    objects: int
    no_edit: int
    found: int
    false_positives: int
    outlined: int = 0
    outlined_no_edit: int = 0
    outlined_found: int = 0

    @classmethod
    def total(cls, outcomes: Iterable[ImageOutcome]) -> ImageOutcome:
        """The counts of several together: of the labels of an image, which are matched each by itself."""
        counts = [astuple(one) for one in outcomes]
        return cls(*map(sum, zip(*counts, strict=True))) if counts else cls(0, 0, 0, 0)


class Pair(NamedTuple):
    """A region and an object of its label that a person would take for one, by their indices."""

    good: bool
    iou: float
    region: int
    object_: int


def outcomes_of(
    detector: Detector | None,
    examples: Examples,
    score_threshold: Threshold,
    on_image: Callable[[], None] = lambda: None,
) -> list[ImageOutcome]:
    """The outcome of every image when regions from `score_threshold` (0..1, for each label or for all) on are shown;
    no detector shows none.
    """
    outcomes = []
    for index in range(len(examples)):
        example = examples[index]
        if detector is None:
            found = Instances.empty(example.image.shape[:2], examples.labels)
        else:
            [found] = detector.predict([example.image], score_threshold)
        outcomes.append(image_outcome(found, example, examples.labels))
        on_image()
    return outcomes


def image_outcome(found: Instances, example: Example, labels: Sequence[str]) -> ImageOutcome:
    """`found`: the regions that are shown. `labels`: what the example's classes mean; other labels are not shown.

    An object whose mask is known is judged by masks if the regions have any, every other object by boxes.
    """
    shown = of_labels(found, labels)
    return outcome(pairs_of(shown, example, labels), len(shown), has_outline(example))


def outcome(pairs: Iterable[Pair], regions: int, outlined: Array) -> ImageOutcome:
    """What `regions` shown regions with these pairs are to objects whose masks are known where `outlined` (n,) bool."""
    good, partnered = np.zeros(len(outlined), bool), np.zeros(len(outlined), bool)
    for object_, (_, is_good) in partners_of(pairs).items():
        partnered[object_], good[object_] = True, is_good
    return ImageOutcome(
        objects=len(good),
        no_edit=int(good.sum()),
        found=int(partnered.sum()),
        false_positives=regions - int(partnered.sum()),
        outlined=int(outlined.sum()),
        outlined_no_edit=int((good & outlined).sum()),
        outlined_found=int((partnered & outlined).sum()),
    )


def of_labels(found: Instances, labels: Sequence[str]) -> Instances:
    """The regions with one of these labels: others are not shown."""
    return found.select([i for i, label in enumerate(found.labels) if label in labels])


def has_outline(example: Example) -> Array:
    """(n,) bool: whether an object's mask is known; an empty one is not."""
    if example.masks is None:
        return np.zeros(len(example.boxes), bool)
    return np.array([mask.bitmap.any() for mask in example.masks], bool)


def pairs_of(shown: Instances, example: Example, labels: Sequence[str]) -> Iterator[Pair]:
    """Every region with every object that it may be taken for; regions have labels among `labels` only."""
    classes = np.array([labels.index(label) for label in shown.labels], np.int64)
    outlined = has_outline(example)
    boxes = box_iou(shown.boxes, example.boxes)
    for region, object_ in np.argwhere((classes[:, None] == example.classes) & (boxes > 0)).tolist():
        iou = float(boxes[region, object_])
        good = iou >= GOOD_BOX
        if outlined[object_] and shown.masks is not None and example.masks is not None:
            overlap = mask_iou(shown.masks[region], example.masks[object_])
            good = overlap >= GOOD_MASK
        if good or iou >= FOUND_BOX:
            yield Pair(bool(good), iou, region, object_)


def partners_of(pairs: Iterable[Pair], first: Array | None = None) -> dict[int, tuple[int, bool]]:
    """{object: (its region, whether that is good)}, one to one: good pairs first, then the largest IoU.

    Scores decide nothing here: a person sees all regions at once and keeps the one that fits. Regions of `first`
    (n,) bool come before all others.
    """
    regions: set[int] = set()
    objects: dict[int, tuple[int, bool]] = {}
    for good, _, region, object_ in sorted(
        pairs, key=lambda pair: (first is None or bool(first[pair.region]), pair), reverse=True
    ):
        if region not in regions and object_ not in objects:
            regions.add(region)
            objects[object_] = region, good
    return objects
