"""Instances as Label Studio regions, regions as predictions: pure conversion, described in docs/regions.md.

The regions are the JSON that Label Studio stores and draws: geometry in percent of the upright image, masks
as brush RLE at the size of the image. Nothing else in prelabel writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from label_studio_sdk.label_interface import LabelInterface

from fbnetv3.instances import Instances
from prelabel.labelstudio.brush_rle import mask_to_rle
from prelabel.labelstudio.label_spec import ControlSpec, Kind
from prelabel.labelstudio.polygons import TOLERANCE, polygons

Region = dict[str, Any]
Prediction = dict[str, Any]

Confidence = Callable[[np.ndarray], np.ndarray]
"""Scores (n,) -> what people are shown for them (n,), 0..1, in the same order of size: a calibration."""

PERCENT_DIGITS = 4
"""Decimals of a percentage: 0.0001 % of an image 10,000 pixels wide is a hundredth of a pixel."""

SCORE_DIGITS = 4

LOWEST_SCORE = 10**-SCORE_DIGITS
"""Of a task that was looked at: 0 says that an image of it could not be."""

ID_LENGTH = 10
"""Characters of a region's id, as many as Label Studio's own."""

REASON_LENGTH = 300
"""The SDK quotes the value of a bad region, RLE and all; a reason is cut here."""


def uncalibrated(scores: np.ndarray) -> np.ndarray:
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
    gets nothing from instances without them. Ids are made from the content: the same instances have the same
    ids. The region's own `score` is the `confidence` in it; thresholds are compared with the instance's score.
    """
    regions: list[Region] = []
    seen: Counter[str] = Counter()
    shown = confidence(instances.scores)
    for index, (label, score) in enumerate(zip(instances.labels, instances.scores, strict=True)):
        for control in controls:
            if not control.skip and label in control.label_map and score >= control.score_threshold:
                values = _values(instances, index, control.kind, polygon_tolerance)
                group = [_region(control, instances, index, value, float(shown[index])) for value in values]
                regions += _identified(group, seen)
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
        score_floor = min(control.score_threshold for control in wanted)
    kept: list[float] = []
    weak = [score_floor]
    for label, score in zip(instances.labels, instances.scores.tolist(), strict=True):
        thresholds = [control.score_threshold for control in wanted if label in control.label_map]
        if thresholds:
            (kept if score >= min(thresholds) else weak).append(score)
    shown = confidence(np.array(kept or [max(weak)]))
    return round(float(np.mean(shown)) if kept else 1.0 - float(shown[0]), SCORE_DIGITS)


def task_score(image_scores: Sequence[float]) -> float:
    """Confidence in a task: that in its most doubtful image, and never quite 0; 0.0 when no image was looked at."""
    return max(min(image_scores), LOWEST_SCORE) if image_scores else 0.0


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
    """The prediction without its invalid regions, and why each of them went.

    Label Studio stores an invalid region without a word and then draws it without a label, or not at all.
    """
    if not validate(interface, prediction):
        return prediction, []
    kept: list[Region] = []
    reasons: list[str] = []
    for number, region in enumerate(prediction["result"]):
        errors = interface.validate_region(region, return_errors=True, region_index=number)
        reasons.extend(error[:REASON_LENGTH] for error in errors)
        if not errors:
            kept.append(region)
    return {**prediction, "result": kept}, reasons


def _values(instances: Instances, index: int, kind: Kind, tolerance: float) -> Iterator[Region]:
    """The geometry of one instance for a kind of control: one value, or one per polygon, or none."""
    if kind == "rectanglelabels":
        yield from _rectangle(instances.boxes[index], instances.image_size)
    elif instances.masks is None or not instances.masks[index].area:
        return
    elif kind == "brushlabels":
        yield {"format": "rle", "rle": mask_to_rle(instances.masks[index], instances.image_size)}
    else:
        for ring in polygons(instances.masks[index], tolerance):
            yield {"points": _percent(ring, instances.image_size).tolist(), "closed": True}


def _rectangle(box: np.ndarray, image_size: tuple[int, int]) -> Iterator[Region]:
    """The part of a box x0, y0, x1, y1 that lies in the image; nothing when none does."""
    (x0, y0), (x1, y1) = _percent(box.reshape(2, 2), image_size)
    if x0 < x1 and y0 < y1:
        width, height = round(x1 - x0, PERCENT_DIGITS), round(y1 - y0, PERCENT_DIGITS)
        yield {"x": float(x0), "y": float(y0), "width": float(width), "height": float(height), "rotation": 0}


def _percent(points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Points (n, 2) x, y in pixels as percent of the image, moved onto its edge where they lie outside."""
    height, width = image_size
    percent = points.astype(np.float64) * (100 / width, 100 / height)
    return np.clip(percent, 0, 100).round(PERCENT_DIGITS)


def _region(
    control: ControlSpec, instances: Instances, index: int, geometry: Region, confidence: float
) -> Region:
    height, width = instances.image_size
    return {
        "from_name": control.from_name,
        "to_name": control.to_name,
        "type": control.kind,
        "value": {**geometry, control.kind: [control.label_map[instances.labels[index]]]},
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
