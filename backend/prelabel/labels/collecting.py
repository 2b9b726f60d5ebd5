"""The labels of accepted tasks as COCO's records, with their images: what a snapshot or a review is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fbnetv3.data.coco import encode_mask
from fbnetv3.data.snapshot import HOLDOUT, TRAIN, is_held_out
from prelabel.labels.accepted import AcceptedTask
from prelabel.labels.accepted_choices import AcceptedChoices
from prelabel.labels.stored_images import MissingImage, RequestedImage, StoredImage
from prelabel.labelstudio.config.image_values import shown_key
from prelabel.labelstudio.config.project_config import ProjectConfig
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledImage, LabelledObject

FETCH_THREADS = 4
"""Enough to hide the latency of a storage service, few enough for a small Label Studio and for memory."""

Json = dict[str, Any]


@dataclass
class CollectedLabels:
    """What is collected, in COCO's form. Records also say where they come from: images name their task and
    `annotation`, objects their `regions`.

    `labelled`: how many images people labelled, usable or not. `no_objects`: how many regions of them show no objects.
    `outages`: for how many images Label Studio was away.
    """

    labels: tuple[str, ...]
    heads: list[Json]
    images: list[Json] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    labelled: int = 0
    no_objects: int = 0
    outages: int = 0

    def add(
        self,
        image: RequestedImage,
        stored: StoredImage,
        objects: Sequence[LabelledObject],
        choices: dict[str, list[str]],
    ) -> None:
        """Take in an image with its objects and choices (control -> what was chosen)."""
        number = len(self.images) + 1
        height, width = stored.size
        labels = {"image_labels": choices} if choices else {}
        self.images.append(
            {
                "id": number,
                "file_name": stored.sha256,
                "sha256": stored.sha256,
                "height": height,
                "width": width,
                "split": HOLDOUT if is_held_out(image.task.task_id) else TRAIN,
                "task": image.task.task_id,
                "image_key": image.key,
                "annotation": image.task.annotation_id,
                **labels,
            }
        )
        for one in objects:
            record: Json = {"id": len(self.annotations) + 1, "image_id": number, "iscrowd": 0}
            record |= {"category_id": self.labels.index(one.label) + 1, "regions": list(one.regions)}
            self.annotations.append(record | _geometry(one, stored.size))

    def drop_images_that_are_held_out(self) -> None:
        """Leave out of training what the hold-out has too, under another task: it must not be trained on."""
        held_out = {image["sha256"] for image in self.images if image["split"] == HOLDOUT}
        twice = [i for i in self.images if i["split"] == TRAIN and i["sha256"] in held_out]
        gone = {image["id"] for image in twice}
        self.images = [image for image in self.images if image["id"] not in gone]
        self.annotations = [one for one in self.annotations if one["image_id"] not in gone]
        self.left_out += [
            f"task {image['task']}, {shown_key(image['image_key'])}: another task has the same image and is held out"
            for image in twice
        ]

    def data(self) -> Json:
        """All of it as COCO data."""
        categories = [{"id": number, "name": name} for number, name in enumerate(self.labels, start=1)]
        heads = {"image_heads": self.heads} if self.heads else {}
        return {"images": self.images, "annotations": self.annotations, "categories": categories, **heads}


def collect_labels(
    tasks: Sequence[AcceptedTask],
    config: ProjectConfig,
    store: Callable[[RequestedImage], StoredImage | MissingImage],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> CollectedLabels:
    """The labels of tasks as COCO's records; see `build_snapshot`. `store` keeps an image, as `image_store` does, and
    is called from several threads.
    """
    read = [(task, config.of(task.data)) for task in tasks]
    its_choices = ((task, controls.choices) for task, controls in read)
    answers = AcceptedChoices(config.for_any_task().choices, its_choices)
    contents = CollectedLabels(config.labels_of(controls for _, controls in read), answers.heads)
    requests = [RequestedImage(task, key, controls) for task, controls in read for key in controls.image_keys]
    contents.left_out += [
        f"task {task.task_id}, {problem}" for task, controls in read for problem in controls.problems
    ]
    contents.labelled = len(requests) + len(contents.left_out)
    with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="snapshot") as pool:
        for done, (request, stored) in enumerate(zip(requests, pool.map(store, requests), strict=True), 1):
            if isinstance(stored, MissingImage):
                contents.left_out.append(f"{request.name}: {stored.reason}")
                contents.outages += stored.is_outage
            else:
                _add_labels(contents, request, stored, answers)
            on_progress(done, len(requests))
    if contents.no_objects:
        contents.left_out.append(f"{contents.no_objects} regions with labels of which no objects are learnt")
    return contents


def _add_labels(
    contents: CollectedLabels,
    image: RequestedImage,
    stored: StoredImage,
    answers: AcceptedChoices,
) -> None:
    """Add an image with what is said of it; without it where all of that is left out."""
    answered = answers.of(image.task, image.controls.choices.on(image.key))
    controls = image.controls.objects
    left_out = [*answered.left_out]
    if image.key in controls.image_keys:
        found = to_objects(image.task.result, controls, image.key, stored.size)
        contents.no_objects += found.no_objects
        if found.left_out:  # what they show would be taught as background
            left_out.append(_unreadable(found))
        else:
            contents.add(image, stored, found.objects, answered.choices)
    elif answered.choices:
        contents.add(image, stored, (), answered.choices)
    elif not left_out:
        left_out.append("nothing was chosen")
    contents.left_out += [f"{image.name}: {reason}" for reason in left_out]


def _unreadable(found: LabelledImage) -> str:
    """The first region that cannot be learnt, and how many more there are."""
    first, *others = found.left_out
    return f"{first}, and {len(others)} more regions cannot be learnt" if others else first


def _geometry(one: LabelledObject, size: tuple[int, int]) -> Json:
    x0, y0, x1, y1 = one.box
    geometry: Json = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
    if one.mask is not None:
        geometry |= {"segmentation": encode_mask(one.mask, size), "area": one.mask.area}
    return geometry
