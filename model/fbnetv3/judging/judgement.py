"""How well a detector does on labelled images: AP by COCO's rules, and what a person would have to edit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from fbnetv3.arrays import Array
from fbnetv3.data.coco import add_example, empty_coco
from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.instances import Instances
from fbnetv3.judging.average_precision import average_precision, to_results, with_crowds
from fbnetv3.judging.calibration import ScoredRegion
from fbnetv3.judging.outcomes import ImageOutcome, image_outcome, scored_regions

#: Regions that score less are not shown: the default of `MODEL_SCORE_THRESHOLD`.
SCORE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Judgement:
    """A detector's figures on `images` images with `objects` labelled objects.

    AP: 0..1, over IoU 0.50:0.95 and at 0.50; of masks only where the data and the detector have some, else None.
    `no_edit_share`: 0..1, objects whose region can stay as it is. `outcomes`: the images', in order. `regions`: all
    that the detector found, those that nobody is shown too; empty in records from before they were kept.
    """

    images: int
    objects: int
    box_AP50: float
    box_AP: float
    mask_AP50: float | None
    mask_AP: float | None
    no_edit_share: float
    false_positives_per_image: float
    outcomes: tuple[ImageOutcome, ...]
    regions: tuple[ScoredRegion, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"outcomes": [asdict(outcome) for outcome in self.outcomes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Judgement:
        """What `as_dict` gave; figures that only another release knows are left out."""
        outcomes = tuple(ImageOutcome(**_known(ImageOutcome, one)) for one in data["outcomes"])
        regions = tuple(ScoredRegion(*one) for one in data.get("regions", ()))
        return cls(**_known(cls, data) | {"outcomes": outcomes, "regions": regions})


def _known(cls: type[Judgement | ImageOutcome], data: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: data[one.name] for one in fields(cls) if one.name in data}


def judge(
    detector: Detector,
    examples: Examples,
    score_threshold: float = SCORE_THRESHOLD,
    on_image: Callable[[], None] = lambda: None,
    *,
    boxes_only: bool = False,
) -> Judgement:
    """Look at every image once and compare what is found with its labels, which are matched by name.

    AP counts everything that the detector finds; the rest counts what scores `score_threshold` (0..1) or more, as
    a person sees it. A label that the detector does not know is a label whose objects it misses. Images without
    objects count too. Mask AP takes objects whose mask is not known for crowds with the shape of their box: what
    lies inside is neither right nor wrong. `on_image` is called after each image. `boxes_only`: as if the detector had
    no masks, which take most of the time.
    """
    has_masks = detector.has_masks and not boxes_only
    category_of = {label: index for index, label in enumerate(examples.labels)}
    knows_any = not category_of.keys().isdisjoint(detector.labels)
    truth = empty_coco(examples.labels)
    results: list[dict[str, Any]] = []
    outcomes = []
    regions: list[ScoredRegion] = []
    for index in range(len(examples)):
        example = examples[index]
        found = Instances.empty(example.image.shape[:2], examples.labels)
        if knows_any:
            found = _predict(detector, example.image, boxes_only or example.masks is None)
        add_example(truth, example)
        results += to_results(found, index, category_of, has_masks)
        outcomes.append(
            image_outcome(found.select(found.scores >= score_threshold), example, examples.labels)
        )
        regions += scored_regions(found, example, examples.labels, score_threshold)
        on_image()
    with_masks = has_masks and any("segmentation" in one for one in truth["annotations"])
    box = _precision(truth, results, "bbox")
    mask = _precision(with_crowds(truth), results, "segm") if with_masks else (None, None)
    return _summary(box, mask, tuple(outcomes), tuple(regions))


def _predict(detector: Detector, image: Array, boxes_only: bool) -> Instances:
    if not boxes_only:
        return detector.predict([image])[0]
    [found] = detector.predict([image], mask_threshold=math.inf)
    return replace(found, masks=None)


def _precision(
    truth: dict[str, Any], results: list[dict[str, Any]], kind: Literal["bbox", "segm"]
) -> tuple[float, float]:
    """(AP50, AP); 0 where there is no object to find."""
    precision = average_precision(truth, results, kind)
    return max(precision.AP50, 0.0), max(precision.AP, 0.0)


def _summary(
    box: tuple[float, float],
    mask: tuple[float, float] | tuple[None, None],
    outcomes: tuple[ImageOutcome, ...],
    regions: tuple[ScoredRegion, ...],
) -> Judgement:
    objects = sum(one.objects for one in outcomes)
    return Judgement(
        images=len(outcomes),
        objects=objects,
        box_AP50=box[0],
        box_AP=box[1],
        mask_AP50=mask[0],
        mask_AP=mask[1],
        no_edit_share=sum(one.no_edit for one in outcomes) / max(objects, 1),
        false_positives_per_image=sum(one.false_positives for one in outcomes) / max(len(outcomes), 1),
        outcomes=outcomes,
        regions=regions,
    )
