"""Snapshots of a project: its accepted labels and their images, kept beside each other for a training.

FOLDER/images/<sha256 of the file>      every image once, however many snapshots and tasks use it
FOLDER/snapshots/<digest>.json          see `fbnetv3.data.snapshot`
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import encode_mask
from fbnetv3.data.snapshot import (
    HOLDOUT,
    TRAIN,
    Snapshot,
    SnapshotError,
    content_digest,
    is_held_out,
    write_snapshot,
)
from fbnetv3.files import write_whole
from fbnetv3.images import ImageError, read_image
from prelabel.labels.accepted import AcceptedTask, accepted_tasks
from prelabel.labels.accepted_choices import AcceptedChoices
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.image_values import image_value, shown_key
from prelabel.labelstudio.config.project import Project
from prelabel.labelstudio.config.project_config import ProjectConfig, TaskControls
from prelabel.labelstudio.errors import FetchError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.labelstudio.regions.annotations import LabelledImage, LabelledObject, to_objects

logger = logging.getLogger(__name__)

FETCH_THREADS = 4
"""Enough to hide the latency of a storage service, few enough for a small Label Studio and for memory."""

FEW_OUTAGES, MOST_OUTAGES = 3, 0.1
"""Images, and their share, from which on an outage of Label Studio ends the snapshot, so that the run is tried again:
it would learn from those that came before, and judge by them."""

Json = dict[str, Any]


class NothingToLearn(SnapshotError):
    """The project has no labels to train on: other labels or another labelling config mend that, nothing else."""


@dataclass(frozen=True)
class ProjectSnapshot:
    """A snapshot, and how it came about.

    `left_out`: a sentence for each image that is not in it, and for what else is not. `tasks`: accepted tasks,
    `annotations`: the annotations submitted for them, both as Label Studio has them, broken images included.
    """

    snapshot: Snapshot
    left_out: list[str]
    tasks: int
    annotations: int


@dataclass(frozen=True)
class _TaskImage:
    """One image of an accepted task, and what the config says of the task."""

    task: AcceptedTask
    key: str
    controls: TaskControls

    @property
    def name(self) -> str:
        return f"task {self.task.task_id}, {shown_key(self.key)}"


@dataclass(frozen=True)
class _Stored:
    """An image in the folder: its name there, and (height, width) in pixels when upright."""

    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True)
class _Missing:
    """Why an image is not in the folder; `is_outage`: because Label Studio was away."""

    reason: str
    is_outage: bool = False


@dataclass
class Contents:
    """What goes into a snapshot, as it is collected. Records also say where they come from: images name their task and
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
        image: _TaskImage,
        stored: _Stored,
        objects: Sequence[LabelledObject],
        choices: dict[str, list[str]],
    ) -> None:
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
        categories = [{"id": number, "name": name} for number, name in enumerate(self.labels, start=1)]
        heads = {"image_heads": self.heads} if self.heads else {}
        return {"images": self.images, "annotations": self.annotations, "categories": categories, **heads}


def build_snapshot(
    client: LabelStudioClient,
    fetcher: ImageFetcher,
    project: Project,
    folder: Path,
    max_pixels: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ProjectSnapshot:
    """The accepted labels of a project now. The same labels and images give the same digest and file.

    What cannot be used is left out with a reason: images that cannot be had or have more than `max_pixels` pixels, or
    with regions that show objects which cannot be read, choices that the config does not have. `on_progress` hears how
    many images are done, and of how many. Raises NothingToLearn, SnapshotError where no image can be had or the disk
    refuses, LabelStudioError and LabelConfigError.
    """
    config = project.config
    learnt = config.for_any_task()
    if not learnt.objects.labels and not learnt.choices.active:
        raise NothingToLearn(
            f"project {project.id} has no labels for boxes or masks on an image, and no choices for one"
        )
    tasks = accepted_tasks(client, project.id)
    if not tasks:
        raise NothingToLearn(f"project {project.id} has no accepted labels")
    contents = collect_labels(tasks, config, fetcher, folder / "images", max_pixels, on_progress)
    contents.drop_images_that_are_held_out()
    _check_enough(contents, project.id)
    data = contents.data()
    digest = content_digest(data, folder / "images")
    snapshot = write_snapshot(data, folder / "images", folder / "snapshots" / f"{digest}.json")
    for reason in contents.left_out:
        logger.warning("project %s: left out of the training data: %s", project.id, reason)
    return ProjectSnapshot(snapshot, contents.left_out, len(tasks), sum(task.annotations for task in tasks))


def collect_labels(
    tasks: Sequence[AcceptedTask],
    config: ProjectConfig,
    fetcher: ImageFetcher,
    images: Path,
    max_pixels: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Contents:
    """The labels of tasks as COCO's records, and their images in the folder `images`; see `build_snapshot`."""
    read = [(task, config.of(task.data)) for task in tasks]
    its_choices = ((task, controls.choices) for task, controls in read)
    answers = AcceptedChoices(config.for_any_task().choices, its_choices)
    contents = Contents(config.labels_of(controls for _, controls in read), answers.heads)
    requests = [_TaskImage(task, key, controls) for task, controls in read for key in controls.image_keys]
    contents.left_out += [
        f"task {task.task_id}, {problem}" for task, controls in read for problem in controls.problems
    ]
    contents.labelled = len(requests) + len(contents.left_out)
    store = partial(_store, fetcher=fetcher, folder=images, max_pixels=max_pixels)
    with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="snapshot") as pool:
        for done, (request, stored) in enumerate(zip(requests, pool.map(store, requests), strict=True), 1):
            if isinstance(stored, _Missing):
                contents.left_out.append(f"{request.name}: {stored.reason}")
                contents.outages += stored.is_outage
            else:
                _add_labels(contents, request, stored, answers)
            on_progress(done, len(requests))
    if contents.no_objects:
        contents.left_out.append(f"{contents.no_objects} regions with labels of which no objects are learnt")
    return contents


def _add_labels(
    contents: Contents,
    image: _TaskImage,
    stored: _Stored,
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


def _store(image: _TaskImage, fetcher: ImageFetcher, folder: Path, max_pixels: int) -> _Stored | _Missing:
    """Put an image into the folder; or why that cannot be done. Raises SnapshotError where the disk refuses."""
    try:
        content = fetcher.fetch(image_value(image.task.data, image.key), image.task.task_id)
        height, width = read_image(content, max_pixels=max_pixels).shape[:2]
    except FetchError as error:
        return _Missing(str(error), error.is_outage)
    except ImageError as error:
        return _Missing(str(error))
    except MemoryError:
        return _Missing("the image does not fit into memory")
    sha256 = hashlib.sha256(content).hexdigest()
    file = folder / sha256
    try:
        if not file.is_file() or file.stat().st_size != len(content):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(content, file)
    except OSError as error:
        raise SnapshotError(f"cannot write {file}: {error.strerror or error}") from None
    return _Stored(sha256, (height, width))


def _geometry(one: LabelledObject, size: tuple[int, int]) -> Json:
    x0, y0, x1, y1 = one.box
    geometry: Json = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
    if one.mask is not None:
        geometry |= {"segmentation": encode_mask(one.mask, size), "area": one.mask.area}
    return geometry


def _check_enough(contents: Contents, project_id: int) -> None:
    """Raises NothingToLearn, or SnapshotError where no image can be had."""
    count = f"{contents.labelled} labelled images of project {project_id}"
    if contents.outages >= max(FEW_OUTAGES, MOST_OUTAGES * contents.labelled):
        raise SnapshotError(
            f"Label Studio was away for {contents.outages} of the {count}: {contents.left_out[-1]}"
        )
    splits = {image["split"] for image in contents.images}
    if not splits:
        raise SnapshotError(f"none of the {count} can be used: {contents.left_out[0]}")
    if TRAIN not in splits:
        raise NothingToLearn(
            f"all {len(contents.images)} labelled images of project {project_id} are held out for judging: label more"
        )
    trained = {image["id"]: image for image in contents.images if image["split"] == TRAIN}
    if any(image.get("image_labels") for image in trained.values()):
        return
    if not contents.annotations:
        why = contents.left_out[0] if contents.left_out else "all were submitted without a region"
        raise NothingToLearn(f"none of the {count} shows an object that can be read: {why}")
    if not any(one["image_id"] in trained for one in contents.annotations):
        raise NothingToLearn(
            f"all objects of the {count} are in images that are held out for judging: label more"
        )
