"""Snapshots: the labels that one training run learns from and is judged by, as COCO JSON beside their images.

An image record says in `split` whether it is trained on ("train") or kept for judging ("holdout"). A snapshot
never changes: its file holds a digest of its content, which is checked when it is read. Choices about whole images
stand in the same file (image_labels.py); one of choices alone has no categories and no annotations.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import CocoError, CocoExamples, check_coco, has_mask, of_split, read_coco
from fbnetv3.data.coco_files import CocoDataSet
from fbnetv3.data.examples import JoinedExamples
from fbnetv3.data.image_labels import (
    LABELS,
    HeadSpec,
    LabelledImage,
    check_image_labels,
    head_specs,
)
from fbnetv3.errors import FbnetError
from fbnetv3.files import write_whole

TRAIN, HOLDOUT = "train", "holdout"

HOLDOUT_SHARE = 0.2
"""Of the tasks, kept for judging: with fewer a comparison says little, with more there is less to learn from."""

FIBONACCI = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio."""

SPLITS = {TRAIN: TRAIN, HOLDOUT: HOLDOUT, "val": HOLDOUT, "test": HOLDOUT}
"""What the splits of a COCO file are to a training run."""

DIGEST_LENGTH = 12


class SnapshotError(FbnetError):
    """A snapshot cannot be read or written; the message says in one sentence why."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """COCO data whose images all have a `split`: `file` holds it, `images` is the folder of the file names.

    Image records of snapshots made from Label Studio also have `sha256`, of the image file. `is_set_apart`: whether a
    person chose the images to judge by, so that nothing may ever learn from them.
    """

    file: Path
    images: Path
    data: dict[str, Any]
    is_set_apart: bool = False

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that stand for labels, splits and the images' bytes, whatever their names and order."""
        return content_digest(self.data, self.images)

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories' names, by class."""
        return self.train.labels

    @cached_property
    def train(self) -> CocoExamples:
        """The images to learn from, those without objects too."""
        return self._examples(TRAIN)

    @cached_property
    def holdout(self) -> CocoExamples:
        """The images to judge by, those without objects too."""
        return self._examples(HOLDOUT)

    @cached_property
    def everything(self) -> JoinedExamples:
        """The images to learn from, then those to judge by."""
        return JoinedExamples((self.train, self.holdout))

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The SHA-256 of each image of `everything`. Raises SnapshotError for one that cannot be read."""
        records = (record for part in (self.train, self.holdout) for record, _ in part.records)
        return tuple(_image_hash(record, self.images) for record in records)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What each image of `everything` is known by, 12 hex digits: they change with its labels.

        Raises SnapshotError for an image that cannot be read.
        """
        labelled = [
            (part.categories, annotations)
            for part in (self.train, self.holdout)
            for _, annotations in part.records
        ]
        return tuple(
            _key(picture, annotations, classes, self.labels)
            for picture, (classes, annotations) in zip(self.pictures, labelled, strict=True)
        )

    @cached_property
    def has_masks(self) -> bool:
        """Whether some label has a mask."""
        return any(has_mask(annotation) for annotation in self.data["annotations"])

    @cached_property
    def head_specs(self) -> tuple[HeadSpec, ...]:
        """The choices about whole images."""
        return head_specs(self.data)

    def labelled_images(self, split: str) -> list[LabelledImage]:
        """All images of a split with their choices, in the order of the file; those without any choice too."""
        records = of_split(self.data, split)["images"]
        return [LabelledImage.from_record(record, self.images) for record in records]

    def _examples(self, split: str) -> CocoExamples:
        return CocoExamples(of_split(self.data, split), self.images, with_empty=True)


def is_held_out(task_id: int | str) -> bool:
    """Whether a task is kept for judging: the same answer for ever, true for HOLDOUT_SHARE of all ids.

    Numbers are hashed by Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): ids that follow each
    other are spread evenly, so that a project of 20 tasks has about 4 held out. A cryptographic hash leaves that to
    chance, and gave the first 38 tasks 2.
    """
    if isinstance(task_id, int):
        hashed = task_id * FIBONACCI % 2**64
    else:
        hashed = int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8])
    return hashed < HOLDOUT_SHARE * 2**64


def content_digest(data: Mapping[str, Any], images: Path) -> str:
    """See Snapshot.digest. Images without `sha256` are read. Raises SnapshotError for one that cannot be."""
    names = {category["id"]: category["name"] for category in data["categories"]}
    labels: dict[Any, list[str]] = {image["id"]: [] for image in data["images"]}
    for annotation in data["annotations"]:
        content = [annotation.get(key) for key in ("bbox", "segmentation", "iscrowd")]
        labels[annotation["image_id"]].append(_canonical([names[annotation["category_id"]], *content]))
    heads = sorted(_canonical(spec.as_dict()) for spec in head_specs(data))
    pictures = []
    for image in data["images"]:
        content = [_image_hash(image, images), image["split"], sorted(labels[image["id"]])]
        pictures.append(_canonical([*content, _chosen(image)] if heads else content))
    ordered = [names[number] for number in sorted(names)]
    content = [ordered, sorted(pictures), heads] if heads else [ordered, sorted(pictures)]
    return hashlib.sha256(_canonical(content).encode()).hexdigest()[:DIGEST_LENGTH]


def write_snapshot(data: Mapping[str, Any], images: Path, file: Path) -> Snapshot:
    """Write COCO data whose images have a `split` and lie in `images`; whole or not at all.

    A file that holds the same content already is left as it is. Raises SnapshotError where it holds another one,
    for data that is no snapshot, and when the disk refuses.
    """
    _check(data, file)
    snapshot = Snapshot(file, images, dict(data))
    if file.exists():
        if (present := read_snapshot(file)).digest != snapshot.digest:
            raise SnapshotError(f"{file} holds another snapshot, and snapshots are never changed")
        return present
    folder = os.path.relpath(images.resolve(), file.parent.resolve())
    snapshot.data["info"] = {"format": "prelabel snapshot 1", "digest": snapshot.digest, "images": folder}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(json.dumps(snapshot.data, sort_keys=True).encode(), file)
    except OSError as error:
        raise SnapshotError(f"cannot write {file}: {error.strerror or error}") from None
    return snapshot


def read_snapshot(file: Path) -> Snapshot:
    """The snapshot in a file that `write_snapshot` made. Raises SnapshotError if it is none or was changed."""
    try:
        data = read_coco(file)
    except CocoError as error:
        raise SnapshotError(str(error)) from None
    _check(data, file)
    info = data.get("info")
    if not isinstance(info, dict) or not {"digest", "images"} <= info.keys():
        raise SnapshotError(f"{file} was not written as a snapshot: it has no digest")
    snapshot = Snapshot(file, (file.parent / info["images"]).resolve(), data)
    for image in data["images"]:
        if not (snapshot.images / image["file_name"]).is_file():
            raise SnapshotError(f"{file} is incomplete: {image['file_name']} is missing in {snapshot.images}")
    if snapshot.digest != info["digest"]:
        raise SnapshotError(f"{file} was changed after it was written: its content is not {info['digest']}")
    return snapshot


def snapshot_of_coco(found: CocoDataSet) -> Snapshot:
    """COCO files as a snapshot, which is not written anywhere.

    The split `train` is trained on, `val` and `test` are held out; a file without splits is divided by a hash of
    the images' ids. Raises CocoError for other splits and where no object is labelled.
    """
    try:
        check_image_labels(found.data)
    except CocoError as error:
        raise CocoError(f"{found.name} {error}") from None
    data = found.learnable()
    splits = {image.get("split") for image in data["images"]}
    if splits == {None}:
        divided = [
            {**image, "split": HOLDOUT if is_held_out(image["id"]) else TRAIN} for image in data["images"]
        ]
    elif splits <= SPLITS.keys():
        divided = [{**image, "split": SPLITS[image["split"]]} for image in data["images"]]
    else:
        strange = ", ".join(sorted(repr(split) for split in splits - SPLITS.keys()))
        raise CocoError(f"{found.name} has images whose split is {strange} instead of train, val or test")
    is_set_apart = not splits <= {None, TRAIN}
    return Snapshot(Path(found.name), found.images, {**data, "images": divided}, is_set_apart)


def _check(data: Any, file: Path) -> None:
    try:
        check_coco(data)
        check_image_labels(data)
    except CocoError as error:
        raise SnapshotError(f"{file} {error}") from None
    for image in data["images"]:
        if image.get("split") not in (TRAIN, HOLDOUT):
            raise SnapshotError(f"{file} is no snapshot: the split of an image is {image.get('split')!r}")


def _key(
    image: str, annotations: list[dict[str, Any]], classes: Mapping[int, int], labels: Sequence[str]
) -> str:
    objects = [
        _canonical([labels[classes[one["category_id"]]], one.get("bbox"), one.get("segmentation")])
        for one in annotations
    ]
    return hashlib.sha256(_canonical([image, sorted(objects)]).encode()).hexdigest()[:DIGEST_LENGTH]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _chosen(image: Mapping[str, Any]) -> dict[str, list[str]]:
    return {head: sorted(classes) for head, classes in image.get(LABELS, {}).items()}


def _image_hash(image: Mapping[str, Any], folder: Path) -> str:
    if "sha256" in image:
        return str(image["sha256"])
    path = folder / image["file_name"]
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from None
