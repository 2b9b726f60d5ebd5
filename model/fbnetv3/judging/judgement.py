"""How well a detector does on labelled images: AP by COCO's rules, and what a person would have to edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from fbnetv3.data.coco import empty_coco
from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector, Threshold
from fbnetv3.judging.average_precision import average_precision, with_crowds
from fbnetv3.judging.calibration import ScoredRegion
from fbnetv3.judging.findings import ImageFindings, findings_of
from fbnetv3.judging.outcomes import ImageOutcome

#: Regions that score less are not shown: the default of `MODEL_SCORE_THRESHOLD`.
SCORE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Judgement:
    """A detector's figures on `images` images with `objects` labelled objects.

    AP: 0..1, over IoU 0.50:0.95 and at 0.50; of masks only where the data and the detector have some, else None.
    `no_edit_share`: 0..1, objects whose region can stay as it is. `outcomes`: the images', in order. `regions`: all
    that the detector found, those that nobody is shown too; empty in records from before they were kept.
    `thresholds`: label -> the score from which on its regions were shown; empty in records from before they were kept.
    `keys`: what each of the images is known by, its labels included, where that is known. `by_label`: label -> the
    counts of its objects and regions in all images together; empty in records from before they were kept.
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
    thresholds: Mapping[str, float] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    by_label: Mapping[str, ImageOutcome] = field(default_factory=dict)

    @property
    def by_key(self) -> dict[str, ImageOutcome]:
        """The outcome of each image whose key is known."""
        return dict(zip(self.keys, self.outcomes, strict=True)) if self.keys else {}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"outcomes": [asdict(outcome) for outcome in self.outcomes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Judgement:
        """What `as_dict` gave; figures that only another release knows are left out."""
        outcomes = tuple(ImageOutcome(**_known(ImageOutcome, one)) for one in data["outcomes"])
        regions = tuple(ScoredRegion(*one) for one in data.get("regions", ()))
        keys = tuple(data.get("keys", ()))
        counts = data.get("by_label", {}).items()
        by_label = {label: ImageOutcome(**_known(ImageOutcome, one)) for label, one in counts}
        read = {"outcomes": outcomes, "regions": regions, "keys": keys, "by_label": by_label}
        return cls(**_known(cls, data) | read)


def _known(cls: type[Judgement | ImageOutcome], data: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: data[one.name] for one in fields(cls) if one.name in data}


def judge(
    detector: Detector,
    examples: Examples,
    score_threshold: Threshold = SCORE_THRESHOLD,
    on_image: Callable[[], None] = lambda: None,
    *,
    boxes_only: bool = False,
) -> Judgement:
    """Look at every image once (`findings_of`) and compare what is found with its labels (`judgement_of`).

    `score_threshold`, 0..1: of each label, or one for all. `on_image` is called after each image. `boxes_only`: as if
    the detector had no masks, which take most of the time.
    """
    findings = findings_of(detector, examples, on_image, boxes_only=boxes_only)
    return judgement_of(findings, examples.labels, score_threshold)


def judgement_of(
    findings: Sequence[ImageFindings],
    labels: Sequence[str],
    thresholds: Threshold,
    each_at: Sequence[Mapping[str, float]] | None = None,
) -> Judgement:
    """The figures of what was found in images of a data set with these labels.

    AP counts everything that the detector finds; the rest counts what scores its label's threshold (0..1, more for
    nothing; SCORE_THRESHOLD for a label without one) or more, as a person sees it. A label that the detector does not
    know is a label whose objects it misses. Images without objects count too. Mask AP takes objects whose mask is not
    known for crowds with the shape of their box: what lies inside is neither right nor wrong. `each_at`: other
    thresholds for each image, of every label, where `thresholds` were chosen with the help of the image itself.
    """
    of_label = _of_each(labels, thresholds)
    judged_at = [of_label] * len(findings) if each_at is None else each_at
    truth, results = _as_coco(findings, labels)
    has_masks = all(one.has_masks for one in findings)
    with_masks = has_masks and any("segmentation" in one for one in truth["annotations"])
    box = _precision(truth, results, "bbox")
    mask = _precision(with_crowds(truth), results, "segm") if with_masks else (None, None)
    of_images = [one.outcomes(at) for one, at in zip(findings, judged_at, strict=True)]
    outcomes = tuple(ImageOutcome.total(of_image.values()) for of_image in of_images)
    regions = tuple(region for one in findings for region in one.scored_regions(of_label))
    by_label = {
        label: ImageOutcome.total(of_image[label] for of_image in of_images if label in of_image)
        for label in labels
    }
    return replace(_summary(box, mask, outcomes, regions, of_label), by_label=by_label)


def _of_each(labels: Sequence[str], thresholds: Threshold) -> dict[str, float]:
    if isinstance(thresholds, Mapping):
        return {label: thresholds.get(label, SCORE_THRESHOLD) for label in labels}
    return dict.fromkeys(labels, thresholds)


def _as_coco(
    findings: Sequence[ImageFindings], labels: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(COCO data of the images' objects, COCO results), the images numbered in order."""
    truth = empty_coco(labels)
    results = []
    for index, one in enumerate(findings):
        truth["images"].append({"id": index, "height": one.size[0], "width": one.size[1]})
        for record in one.objects:
            truth["annotations"].append(record | {"id": len(truth["annotations"]) + 1, "image_id": index})
        results += [result | {"image_id": index} for result in one.results]
    return truth, results


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
    thresholds: Mapping[str, float],
) -> Judgement:
    return Judgement(
        box_AP50=box[0],
        box_AP=box[1],
        mask_AP50=mask[0],
        mask_AP=mask[1],
        regions=regions,
        thresholds=thresholds,
        **_counts(outcomes),
    )


def with_outcomes(judgement: Judgement, keys: Sequence[str], outcomes: Sequence[ImageOutcome]) -> Judgement:
    """The same AP, regions and thresholds with what a person finds in other images, which are known by `keys`."""
    return replace(judgement, keys=tuple(keys), **_counts(tuple(outcomes)))


def _counts(outcomes: tuple[ImageOutcome, ...]) -> dict[str, Any]:
    objects = sum(one.objects for one in outcomes)
    return {
        "images": len(outcomes),
        "objects": objects,
        "no_edit_share": sum(one.no_edit for one in outcomes) / max(objects, 1),
        "false_positives_per_image": sum(one.false_positives for one in outcomes) / max(len(outcomes), 1),
        "outcomes": outcomes,
    }
