"""The predictions of a project's unlabelled tasks, as they are stored: what is to be looked at before a bulk accept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fbnetv3.instances import NO_MASK, Instances
from fbnetv3.review import review_predictions
from fbnetv3.review.sizes import UsualSizes
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.image_values import image_value
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.config.project import Project
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledObject
from prelabel.publish.survey import NO_HIDDEN_COLUMNS, PAGE_SIZE
from prelabel.review.findings import (
    CONFIDENCE_DIGITS,
    ImageRef,
    ReviewFinding,
    finding_id,
    object_digest,
)


@dataclass(frozen=True, eq=False)
class Prelabelled:
    """One image of an unlabelled task with its predicted objects; `value`: what the task's data holds for it."""

    image_ref: ImageRef
    value: Any
    prediction: int
    objects: tuple[LabelledObject, ...]
    instances: Instances


def prelabelled_images(client: LabelStudioClient, project: Project) -> list[Prelabelled]:
    """The newest predictions of the version that the project shows, else of any; tasks with an annotation are left out,
    and so are predictions without a region.

    Raises LabelStudioError and LabelConfigError.
    """
    config = project.objects_config
    shown = _shown(client.predictions(project.id), project.shown_version)
    rows = client.tasks(project.id, PAGE_SIZE, with_results=False, query=json.dumps(NO_HIDDEN_COLUMNS))
    unlabelled = {row["id"]: row["data"] for row in rows if not row["total_annotations"]}
    read = {task: config.of(data) for task, data in unlabelled.items()}
    labels = config.labels_of(read.values())
    return [
        image
        for task, prediction in sorted(shown.items())
        if task in unlabelled
        for image in _images(task, unlabelled[task], prediction, read[task].objects, labels)
    ]


def review_prelabels(
    scope: str, images: Sequence[Prelabelled], usual: UsualSizes
) -> list[tuple[ReviewFinding, Prelabelled]]:
    """What looks wrong in them, each with its image. `usual`: sizes of labelled objects. A region's score is taken for
    the probability that it is kept, which the calibration of its version has made of it.
    """
    described = []
    for found in review_predictions([image.instances for image in images], usual=usual):
        image = images[found.image]
        order = _order(image.objects)
        objects = tuple(order[number] for number in found.objects)
        about = [image.objects[number] for number in objects]
        content = tuple(object_digest(one.label, one.box, None) for one in about)
        finding = ReviewFinding(
            id=finding_id(scope, image.image_ref, "prediction", found.kind, content),
            kind=found.kind,
            confidence=round(float(found.confidence), CONFIDENCE_DIGITS),
            source="prediction",
            image_ref=image.image_ref,
            made_in=image.prediction,
            regions=tuple(region for one in about for region in one.regions),
            objects=objects,
            labels=tuple(one.label for one in about),
            boxes=tuple(one.box for one in about),
            label=found.label,
            box=None,
            content=content,
        )
        described.append((finding, image))
    return described


def _shown(predictions: Sequence[Mapping[str, Any]], version: str) -> dict[int, Mapping[str, Any]]:
    """Task -> the prediction that counts."""
    ranked = sorted(predictions, key=lambda one: (one["model_version"] == version, one["id"]))
    return {one["task"]: one for one in ranked}


def _images(
    task: int,
    data: Mapping[str, Any],
    prediction: Mapping[str, Any],
    controls: ObjectControls,
    labels: tuple[str, ...],
) -> Iterator[Prelabelled]:
    result = [region for region in prediction["result"] or [] if isinstance(region, Mapping)]
    for key in controls.image_keys:
        size = _size(result, controls, key)
        objects = to_objects(result, controls, key, size).objects if size else ()
        if size and objects:
            image_ref = ImageRef("", task, key)
            instances = _instances(objects, size, labels)
            yield Prelabelled(image_ref, image_value(data, key), prediction["id"], objects, instances)


def _size(result: Sequence[Mapping[str, Any]], controls: ObjectControls, key: str) -> tuple[int, int] | None:
    """(height, width) of the image, as its regions say."""
    names = {control.to_name for control in controls.on(key)}
    for region in result:
        height, width = region.get("original_height"), region.get("original_width")
        if region.get("to_name") in names and isinstance(height, int) and isinstance(width, int):
            return (height, width) if min(height, width) > 0 else None
    return None


def _order(objects: Sequence[LabelledObject]) -> list[int]:
    """Best score first, as instances are."""
    return sorted(range(len(objects)), key=lambda number: -_score(objects[number]))


def _score(one: LabelledObject) -> float:
    """Of a region without a score nothing is known that speaks against it."""
    return 1.0 if one.score is None else one.score


def _instances(
    objects: Sequence[LabelledObject], size: tuple[int, int], labels: tuple[str, ...]
) -> Instances:
    ordered = [objects[number] for number in _order(objects)]
    masks = tuple(one.mask or NO_MASK for one in ordered) if any(one.mask for one in ordered) else None
    return Instances(
        size,
        np.array([one.box for one in ordered], np.float32).reshape(-1, 4),
        np.array([_score(one) for one in ordered], np.float32),
        np.array([labels.index(one.label) for one in ordered], np.int64),
        labels,
        masks,
    )
