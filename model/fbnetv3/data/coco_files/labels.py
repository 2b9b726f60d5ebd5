"""One label of a COCO file: read whatever way it is written, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco_files.frames import ANYWHERE, Frame
from fbnetv3.data.coco_files.notes import Notes
from fbnetv3.data.coco_files.segmentations import NoMask, box_of_segmentation, read_segmentation
from fbnetv3.data.coco_files.values import number, numbers, shown

Json = dict[str, Any]

SMALLEST_SIDE = 0.1
"""Pixels of a box inside its image: less is a slip of the mouse, and single precision loses it in a large image."""

CUT_IN_SILENCE = 1.0
"""Pixels that a box may stand out of its image by rounding."""


class UnusableLabel(ValueError):
    """A label says no place; the message says why."""


def read_label(record: Json, name: str, frame: Frame, notes: Notes) -> Json:
    """`bbox`, `area` and, where its shape is known, `segmentation` of a label, in pixels of the upright image.

    Raises UnusableLabel.
    """
    segmentation, why = None, ""
    try:
        segmentation = read_segmentation(record.get("segmentation"), frame)
    except NoMask as error:
        why = str(error)
    box = _box(record, segmentation, why, name, frame, notes)
    if why:
        notes.repair("annotation", name, f"{why}: the box alone is used")
    bbox = _as_bbox(box, record)
    label = {"bbox": bbox, "area": _area(record, bbox, frame)}
    if segmentation is not None:
        label["segmentation"] = segmentation
    # What reading did not change stays as it is written, 5 and not 5.0: digests of labels are of that.
    return {key: record[key] if record.get(key) == value else value for key, value in label.items()}


def drawn_box(record: Json) -> Array | None:
    """The box (4,), x0, y0, x1, y1, as the file has it; None where it has none."""
    given = _given_box(record)
    if given is not None:
        return given
    try:
        return box_of_segmentation(read_segmentation(record.get("segmentation"), ANYWHERE))
    except NoMask:
        return None


def _given_box(record: Json) -> Array | None:
    sides = numbers(record.get("bbox"))
    if sides is None or len(sides) != 4:
        return None
    x, y, width, height = sides
    return np.array([x, y, x + width, y + height])


def _box(record: Json, segmentation: Any, why: str, name: str, frame: Frame, notes: Notes) -> Array:
    """Inside the image."""
    box = _given_box(record)
    if box is None and segmentation is None:
        given = f"the bbox is {shown(record['bbox'])}" if "bbox" in record else "it has no bbox"
        raise UnusableLabel(f"{given} and {why or 'it has no segmentation'}")
    if box is None:
        what = "no bbox" if "bbox" not in record else "no bbox of four numbers"
        notes.repair("annotation", name, f"{what}, so it is taken from the segmentation")
        box = box_of_segmentation(segmentation)
    else:
        if (box[2:] - box[:2] < SMALLEST_SIDE).any():
            raise UnusableLabel(f"the bbox {shown(record['bbox'])} has no extent")
        if not frame.is_plain:
            corners = frame.points(box.reshape(2, 2))
            box = np.concatenate([corners.min(0), corners.max(0)])
    inside = np.clip(box, 0, [*frame.size, *frame.size])
    if (inside[2:] - inside[:2] < SMALLEST_SIDE).any():
        raise UnusableLabel(f"the bbox {shown(record.get('bbox'))} lies outside the image")
    if (np.abs(inside - box) > CUT_IN_SILENCE).any():
        notes.repair("annotation", name, "the bbox stands out of the image and is cut to it")
    return inside


def _as_bbox(box: Array, record: Json) -> list[float]:
    """x, y, width, height; the file's own numbers where they are this box."""
    given = _given_box(record)
    if given is not None and np.array_equal(given, box):
        return numbers(record["bbox"]) or []
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def _area(record: Json, bbox: list[float], frame: Frame) -> float:
    """As given where an image can have it, else the box's."""
    given = (number(record.get("area")) or 0.0) * frame.area_factor
    return given if 0 < given <= frame.size[0] * frame.size[1] else bbox[2] * bbox[3]
