"""Boxes of a whole file that are not in COCO's form: each alone may be right, together they cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.frames import ANYWHERE
from fbnetv3.data.coco_files.segmentations import NoMask, box_of_segmentation, read_segmentation
from fbnetv3.data.coco_files.values import numbers

Json = dict[str, Any]

ONE_PIXEL = 1.01
"""Boxes that all end within it are shares of the image's sides; some tools round them up."""

CLOSE, CLOSE_SHARE = 2.0, 0.05
"""Pixels, and the share of a box's longer side, by which a box and the box around its outline may differ."""

MOST = 0.9
"""The share of the labels with an outline that must agree on another form."""


def check_boxes(records: Iterable[Json]) -> None:
    """Raise CocoError, a sentence without a subject, where all boxes are shares of the image, or most are corners."""
    boxes = [(box, record.get("segmentation")) for record in records if (box := _sides(record)) is not None]
    if not boxes:
        return
    sides = np.array([box for box, _ in boxes])
    if (sides >= 0).all() and sides.any() and (sides[:, :2] + sides[:, 2:] <= ONE_PIXEL).all():
        raise CocoError(
            "has boxes between 0 and 1, and COCO's are in pixels: multiply them by width and height"
        )
    drawn = [(box, around) for box, outline in boxes if (around := _around(outline)) is not None]
    corners = sum(_is_close(box, around) and not _is_close(_corners(box), around) for box, around in drawn)
    if drawn and corners >= MOST * len(drawn):
        raise CocoError(
            "has boxes that its outlines contradict: they are x0, y0, x1, y1, and COCO's are x, y, width, height"
        )


def _sides(record: Json) -> Array | None:
    box = numbers(record.get("bbox"))
    return np.array(box) if box is not None and len(box) == 4 else None


def _around(outline: Any) -> Array | None:
    try:
        return box_of_segmentation(read_segmentation(outline, ANYWHERE))
    except NoMask:
        return None


def _corners(box: Array) -> Array:
    return np.concatenate([box[:2], box[:2] + box[2:]])


def _is_close(corners: Array, around: Array) -> bool:
    limit = max(CLOSE, CLOSE_SHARE * float(max(around[2:] - around[:2])))
    return bool((np.abs(corners - around) <= limit).all())
