"""Instances as Label Studio regions, regions as predictions: pure conversion, described in docs/regions.md.

The regions are the JSON that Label Studio stores and draws; where a region is, its shape says (`shapes`).
Nothing else in prelabel writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from label_studio_sdk.label_interface import LabelInterface

from fbnetv3.arrays import Array
from fbnetv3.instances import Instances
from prelabel.labelstudio.config.control_spec import ControlSpec
from prelabel.labelstudio.shapes import LABELS, Value
from prelabel.labelstudio.shapes.outlines import TOLERANCE

Region = dict[str, Any]
Prediction = dict[str, Any]

Confidence = Callable[[Array], Array]
"""Scores (n,) -> what people are shown for them (n,), 0..1, in the same order of size: a calibration."""

SCORE_DIGITS = 4

ID_LENGTH = 10
"""Characters of a region's id, as many as Label Studio's own."""

REASON_LENGTH = 300
"""The SDK quotes the value of a bad region, RLE and all; a reason is cut here."""


def uncalibrated(scores: Array) -> Array:
    """The Confidence of scores that stay as they are."""
    return scores


def to_regions(
    instances: Instances,
    controls: Sequence[ControlSpec],
    *,
    polygon_tolerance: float = TOLERANCE,
    confidence: Confidence = uncalibrated,
) -> list[Region]:
    """The regions of one image for the controls on it (`LabelSpec.controls_for`), best score first.

    An instance makes a region in every control that has its label and wants its score; in a polygon control
    one per piece of its mask, the smaller ones with `parentID` naming the largest. A control that needs masks
    gets nothing from instances without them. A region whose label comes from a Labels tag is two results with
    one id: its shape, and its label. Ids are made from the content: the same instances have the same
    ids. The region's own `score` is the `confidence` in it; thresholds are compared with the instance's score.
    """
    regions: list[Region] = []
    seen: Counter[str] = Counter()
    shown = confidence(instances.scores)
    for index, (label, score) in enumerate(zip(instances.labels, instances.scores, strict=True)):
        for control in controls:
            if not control.skip and label in control.label_map and score >= control.threshold_of(label):
                values = control.shape.write(instances, index, polygon_tolerance)
                group = [_region(control, instances, index, value, float(shown[index])) for value in values]
                for region in _identified(group, seen):
                    regions += _results(region, control)
    return regions


def image_score(
    instances: Instances,
    controls: Sequence[ControlSpec],
    score_floor: float | None = None,
    confidence: Confidence = uncalibrated,
) -> float:
    """Confidence, 0..1, that the regions of an image are right; Label Studio asks for the lowest first.

    The mean confidence in the instances that became regions. Without any: one minus the strongest candidate that
    was too weak, so an image with a near miss comes before one that is surely empty. `score_floor` is the
    score below which the detector reported nothing (default: the lowest threshold of the controls); it stands
    for that candidate where there is none. 0.0 without controls, when nothing is known of the image.
    """
    wanted = [control for control in controls if not control.skip]
    if not wanted:
        return 0.0
    if score_floor is None:
        score_floor = min(1.0, *(control.lowest_threshold for control in wanted))
    kept: list[float] = []
    weak = [score_floor]
    for label, score in zip(instances.labels, instances.scores.tolist(), strict=True):
        thresholds = [control.threshold_of(label) for control in wanted if label in control.label_map]
        if thresholds:
            (kept if score >= min(thresholds) else weak).append(score)
    shown = confidence(np.array(kept or [max(weak)]))
    return round(float(np.mean(shown)) if kept else 1.0 - float(shown[0]), SCORE_DIGITS)


def task_score(image_scores: Sequence[float]) -> float:
    """Confidence in a task: that in its most doubtful image; 0.0 (ask first) when no image was looked at."""
    return min(image_scores, default=0.0)


def to_prediction(regions: Sequence[Region], score: float, model_version: str) -> Prediction:
    """The prediction of one task; `score`, 0..1, as `task_score` gives it."""
    return {
        "result": list(regions),
        "score": round(float(score), SCORE_DIGITS),
        "model_version": model_version,
    }


def validate(interface: LabelInterface, prediction: Prediction) -> list[str]:
    """What is wrong with a prediction under a labelling config, by the SDK's rules; empty if nothing is."""
    errors = interface.validate_prediction(prediction, return_errors=True)
    return [error[:REASON_LENGTH] for error in errors]


def drop_invalid(interface: LabelInterface, prediction: Prediction) -> tuple[Prediction, list[str]]:
    """The prediction without its invalid regions, and why each of them went; of a shape and its label with both.

    Label Studio stores an invalid region without a word and then draws it without a label, or not at all.
    """
    if not validate(interface, prediction):
        return prediction, []
    result = prediction["result"]
    gone: set[Any] = set()
    reasons: list[str] = []
    for number, region in enumerate(result):
        context = {"result": result, "region": region}
        errors = interface.validate_region(region, return_errors=True, region_index=number, context=context)
        reasons.extend(error[:REASON_LENGTH] for error in errors)
        if errors:
            gone.add(region["id"])
    return {**prediction, "result": [region for region in result if region["id"] not in gone]}, reasons


def _region(
    control: ControlSpec, instances: Instances, index: int, geometry: Value, confidence: float
) -> Region:
    """A region without an id; in its value are where it is and its label."""
    height, width = instances.image_size
    labels_key = LABELS if control.is_pair else control.region_type
    return {
        "from_name": control.from_name,
        "to_name": control.to_name,
        "type": control.region_type,
        "value": {**geometry, labels_key: [control.label_map[instances.labels[index]]]},
        "score": round(confidence, SCORE_DIGITS),
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }


def _identified(group: Sequence[Region], seen: Counter[str]) -> Iterator[Region]:
    """The regions of one instance in one control with their ids; the first is the parent of the others.

    `seen` counts the contents so far, which tells equal regions apart.
    """
    parent: Region = {}
    for region in group:
        content = json.dumps(region, sort_keys=True)
        key = f"{content}{seen[content]}"
        seen[content] += 1
        identified = {"id": hashlib.sha256(key.encode()).hexdigest()[:ID_LENGTH], **region, **parent}
        parent = parent or {"parentID": identified["id"]}
        yield identified


def _results(region: Region, control: ControlSpec) -> list[Region]:
    """The results that a region is stored as. Label Studio repeats in that of the label where the region is."""
    if not control.is_pair:
        return [region]
    geometry = {key: part for key, part in region["value"].items() if key != LABELS}
    return [{**region, "value": geometry}, {**region, "from_name": control.labels_from, "type": LABELS}]
