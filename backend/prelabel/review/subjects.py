"""What is reviewed: labelled images with where each comes from, read from a project or from a COCO file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import CocoExamples
from fbnetv3.data.coco_files import CocoDataSet
from fbnetv3.data.examples import Example
from fbnetv3.data.snapshot import HOLDOUT, SnapshotError
from fbnetv3.instances import BoxMask, Instances
from prelabel.labels.accepted import accepted_tasks
from prelabel.labels.collecting import collect_labels
from prelabel.labels.stored_images import image_store
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import Project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.review.findings import Box, ImageRef, object_digest

Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Subjects:
    """Labelled images, those without an object too.

    `title`: the project or file; `scope`: what the ids of findings hold in. `left_out`: a sentence for each image and
    region that cannot be reviewed.
    """

    title: str
    scope: str
    examples: CocoExamples
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def image_refs(self) -> list[ImageRef]:
        """Where each image comes from."""
        records = (record for record, _ in self.examples.records)
        return [ImageRef(one["file_name"], one.get("task"), one.get("image_key")) for one in records]

    def among(self, pictures: Collection[str]) -> list[int]:
        """The images whose files have one of these SHA-256."""
        records = (record for record, _ in self.examples.records)
        return [index for index, record in enumerate(records) if record.get("sha256") in pictures]

    @cached_property
    def held_out(self) -> list[int]:
        """The images that no version of an older release was trained on, those with the very file of such a one among
        them.
        """
        records = [record for record, _ in self.examples.records]
        files = {one["file_name"] for one in records if one.get("split") == HOLDOUT}
        return [index for index, one in enumerate(records) if one["file_name"] in files]

    @cached_property
    def used_labels(self) -> set[str]:
        """The labels that some object has."""
        return {self.label(one) for _, objects in self.examples.records for one in objects}

    def part(self, indices: Sequence[int]) -> CocoExamples:
        """Some of the images, in the order of all."""
        records = [self.examples.records[index] for index in sorted(indices)]
        chosen = [annotation for _, annotations in records for annotation in annotations]
        data = {**self.examples.data, "images": [image for image, _ in records], "annotations": chosen}
        return CocoExamples(data, self.examples.images, with_empty=True)

    def annotation_of(self, index: int) -> int | None:
        """The id of the annotation that labels an image, None in a COCO file."""
        found: int | None = self.examples.records[index][0].get("annotation")
        return found

    def objects(self, index: int) -> list[Json]:
        """The records of an image's objects, in the order of its example."""
        return self.examples.records[index][1]

    def label(self, record: Json) -> str:
        """The label of an object."""
        return self.examples.labels[self.examples.categories[record["category_id"]]]

    def regions(self, record: Json) -> tuple[str, ...]:
        """The ids of the regions that show an object; in a COCO file that of its annotation."""
        return tuple(record["regions"]) if "regions" in record else (str(record["id"]),)

    def digests(self, index: int) -> list[str]:
        """What changes with each object of an image."""
        return [
            object_digest(self.label(one), box_of(one), one.get("segmentation"))
            for one in self.objects(index)
        ]

    def shown(self, index: int) -> tuple[Array, Instances]:
        """An image's pixels (H, W, 3) and its labelled objects. Raises CocoError."""
        example = self.examples[index]
        return example.image, as_instances(example, self.examples.labels)


def project_subjects(
    client: LabelStudioClient,
    fetcher: ImageFetcher,
    project: Project,
    folder: Path,
    max_pixels: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Subjects:
    """The accepted labels of a project now, of each task the annotation that counts; `folder` keeps the images.

    Raises SnapshotError where there is nothing to review, LabelStudioError and LabelConfigError.
    """
    config = project.objects_config
    if not config.for_any_task().objects.labels:
        raise SnapshotError(f"project {project.id} has no labels for boxes or masks on an image")
    tasks = accepted_tasks(client, project.id)
    if not tasks:
        raise SnapshotError(f"project {project.id} has no accepted labels to review")
    found = collect_labels(tasks, config, image_store(fetcher, folder / "images", max_pixels), on_progress)
    if not found.images:
        raise SnapshotError(
            f"none of the labelled images of project {project.id} can be used: {found.left_out[0]}"
        )
    examples = CocoExamples(found.data(), folder / "images", with_empty=True)
    title = f"project {project.id}"
    return Subjects(title, title, examples, tuple(found.left_out))


def coco_subjects(found: CocoDataSet, title: str) -> Subjects:
    """The labels of COCO files, without images of crowd regions alone. Raises CocoError where there is no object."""
    examples = CocoExamples(found.learnable(), found.images, with_empty=True)
    return Subjects(title, "coco", examples)


def as_instances(example: Example, labels: tuple[str, ...]) -> Instances:
    """An example's objects as instances of which a person is sure."""
    scores = np.ones(len(example.boxes), np.float32)
    masks: tuple[BoxMask, ...] | None = example.masks
    return Instances(example.image.shape[:2], example.boxes, scores, example.classes, labels, masks)


def box_of(record: Json) -> Box:
    """The box of a COCO record, x0, y0, x1, y1."""
    x, y, width, height = record["bbox"]
    return x, y, x + width, y + height
