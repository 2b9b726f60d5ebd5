"""A COCO file and its images, read into clean COCO data: the steps in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.box_forms import check_boxes
from fbnetv3.data.coco_files.categories import read_categories
from fbnetv3.data.coco_files.data_set import CocoDataSet
from fbnetv3.data.coco_files.decoding import decode_json
from fbnetv3.data.coco_files.frames import (
    Frame,
    Size,
    fits,
    frame_of,
    is_scaled,
    lies_turned,
    share_outside,
)
from fbnetv3.data.coco_files.image_files import ImageFiles
from fbnetv3.data.coco_files.image_records import ImageRecord, of_split, read_images
from fbnetv3.data.coco_files.image_sizes import StoredSize, read_size
from fbnetv3.data.coco_files.label_records import (
    LabelRecord,
    by_image,
    read_label_records,
    with_crowds,
)
from fbnetv3.data.coco_files.labels import UnusableLabel, drawn_box, read_label
from fbnetv3.data.coco_files.notes import Notes
from fbnetv3.images import ImageError

Json = dict[str, Any]

MOST_OUTSIDE = 0.1
"""Of the boxes' centres: above it the sizes in the file are wrong, and not some boxes."""


def read_data_set(
    annotations: Path,
    images: Path,
    split: str | None = None,
    *,
    strict: bool = False,
    name: str | None = None,
) -> CocoDataSet:
    """The labelled images of a COCO file, with `split` only those whose `split` says so; `images` is the folder that
    the file names start from, and nothing outside it is read. `name`: of the file, for people.

    Raises CocoError, one sentence, for a file that is not COCO's, has no such split or none of whose images is found;
    with `strict` also for the first label or image that would be left out.
    """
    name = name or str(annotations)
    try:
        raw = annotations.read_bytes()
    except OSError as error:
        raise CocoError(f"cannot read {name}: {error.strerror or error}") from None
    try:
        return _Reading(name, images, Notes(strict)).read(decode_json(raw), split)
    except CocoError as error:
        raise CocoError(f"{name} {error}") from None


@dataclass(frozen=True)
class _Reading:
    name: str
    folder: Path
    notes: Notes

    def read(self, data: Json, split: str | None) -> CocoDataSet:
        labels = read_label_records(data.get("annotations"), self.notes)
        check_boxes(label.record for label in labels)
        used = {label.category for label in labels if label.category is not None}
        categories = read_categories(data.get("categories"), used, self.notes)
        every_image = read_images(data.get("images"), ImageFiles(self.folder), self.notes)
        labels_of = by_image(with_crowds(labels, self.notes), categories.of, every_image, self.notes)
        chosen = of_split(every_image, split)
        if not chosen:
            raise CocoError(f"has no images whose split is {split!r}" if split else "has no image to use")
        found = self._with_sizes(chosen, labels_of)
        clean = self._clean(found, labels_of) | {"categories": categories.records}
        if "image_heads" in data:
            clean["image_heads"] = data["image_heads"]
        notes = self.notes
        return CocoDataSet(
            name=self.name,
            data=clean,
            images=self.folder,
            repaired=tuple(notes.repaired),
            left_out=tuple(notes.left_out),
            labels_left_out=notes.labels_left_out,
            images_left_out=notes.images_left_out,
        )

    def _with_sizes(
        self, images: Sequence[ImageRecord], labels_of: Mapping[int, Sequence[LabelRecord]]
    ) -> list[tuple[ImageRecord, StoredSize]]:
        """The images whose file is found and is one. Raises CocoError where there is none."""
        found, why = [], ""
        for image in images:
            try:
                found.append((image, self._size(image)))
            except ImageError as error:
                why = why or f"{image.name}: {error}"
                self._leave_out_image(image, str(error), labels_of)
        if not found:
            raise CocoError(f"has no image that can be read: {why}")
        return found

    def _size(self, image: ImageRecord) -> StoredSize:
        if image.found.file is None:
            raise ImageError(image.found.why)
        return read_size(self.folder / image.found.file)

    def _clean(
        self,
        images: Sequence[tuple[ImageRecord, StoredSize]],
        labels_of: Mapping[int, Sequence[LabelRecord]],
    ) -> dict[str, list[Json]]:
        boxes = {image.id: _drawn_boxes(labels_of.get(image.id, ())) for image, _ in images}
        scaled = [
            (boxes[image.id], image.claimed)
            for image, size in images
            if image.claimed is not None and is_scaled(image.claimed, size)
        ]
        scaled_fit = share_outside(scaled) <= MOST_OUTSIDE
        all_fit_stored = all(
            fits(boxes[image.id], image.claimed)
            for image, size in images
            if image.claimed is not None and lies_turned(image.claimed, size)
        )
        records: list[Json] = []
        annotations: list[tuple[LabelRecord, Json]] = []
        for image, size in images:
            frame = frame_of(
                image.claimed, size, boxes[image.id], all_fit_stored=all_fit_stored, scaled_fit=scaled_fit
            )
            labels = labels_of.get(image.id, ())
            if frame is None and image.claimed is not None:
                claimed, is_ = _times(image.claimed), _times(size.upright)
                self._leave_out_image(image, f"the file says {claimed}, and the image is {is_}", labels_of)
                continue
            assert frame is not None
            self._tell_of(frame, image, size)
            read = self._read_labels(image, labels, frame)
            if labels and not read:
                self.notes.leave_out(f"{image.name}: it is left out, as all its labels are", images=1)
                continue
            records.append(_image_record(image, size))
            annotations += read
        return {
            "images": records,
            "annotations": _with_ids(sorted(annotations, key=lambda one: one[0].position)),
        }

    def _tell_of(self, frame: Frame, image: ImageRecord, size: StoredSize) -> None:
        if image.claimed is None or image.claimed == size.upright:
            return
        said = "not of the size that the file says"
        if frame.orientation != 1:
            what = f"{said}, but that before EXIF turns it: labels are turned with it"
        elif frame.is_plain and is_scaled(image.claimed, size):
            what = f"{said}, {_times(image.claimed)}, but {_times(size.upright)}, where its labels lie: they stay"
        elif frame.is_plain:
            what = f"{said}, whose sides are swapped: labels stay as they are"
        else:
            what = f"{said}, {_times(image.claimed)}, but {_times(size.upright)}: labels are scaled"
        self.notes.repair("image", image.name, what)

    def _read_labels(
        self, image: ImageRecord, labels: Sequence[LabelRecord], frame: Frame
    ) -> list[tuple[LabelRecord, Json]]:
        read = []
        for label in labels:
            try:
                if label.problem:
                    raise UnusableLabel(label.problem)
                clean = read_label(label.record, label.name, frame, self.notes)
            except UnusableLabel as error:
                self.notes.leave_out(f"annotation {label.name}: {error}", labels=1)
                continue
            fields = {"image_id": image.id, "category_id": label.category, "iscrowd": int(label.is_crowd)}
            read.append((label, fields | clean))
        return read

    def _leave_out_image(
        self, image: ImageRecord, why: str, labels_of: Mapping[int, Sequence[LabelRecord]]
    ) -> None:
        self.notes.leave_out(f"{image.name}: {why}", labels=len(labels_of.get(image.id, ())), images=1)


def _drawn_boxes(labels: Sequence[LabelRecord]) -> Array:
    """(n, 4)."""
    boxes = [box for label in labels if (box := drawn_box(label.record)) is not None]
    return np.array(boxes).reshape(-1, 4)


def _image_record(image: ImageRecord, size: StoredSize) -> Json:
    width, height = size.upright
    record = {"id": image.id, "file_name": image.found.file, "width": width, "height": height}
    return record | ({"split": image.split} if image.split else {}) | image.kept


def _with_ids(annotations: Sequence[tuple[LabelRecord, Json]]) -> list[Json]:
    """The file's own ids where COCO's evaluation can use them, else new ones: for it 0 is no label, and equal ids are
    one. `regions` has what a label is called in its file then.
    """
    are_usable = all(label.id is not None and label.id > 0 for label, _ in annotations)
    records = []
    for number, (label, clean) in enumerate(annotations, start=1):
        regions = label.record.get("regions")
        if isinstance(regions, list) and all(isinstance(one, str) for one in regions):
            clean = clean | {"regions": regions}
        elif not are_usable:
            clean = clean | {"regions": [label.name]}
        records.append({"id": label.id if are_usable else number} | clean)
    return records


def _times(size: Size) -> str:
    return f"{size[0]:g} x {size[1]:g}"
