"""Labelled objects, and which regions show the same one: its pieces, and its forms in several controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.shapes import Box
from prelabel.labelstudio.shapes.geometry import mask_at, room

SAME_OBJECT_IOU = 0.9
"""Of the boxes of two regions with one label in different controls, from which they show the same object."""

SAME_SCORE_INSIDE = 0.9
"""The share of one box in the other, from which two such regions with one score do: they were made from one instance.
The mask of a thin object can be much smaller than the box that the network gave it."""


@dataclass(frozen=True, eq=False)
class FoundObject:
    """An object in one control. `index`: of its region in the annotation. `regions`: their ids."""

    index: int
    label: str
    score: Any
    box: Box
    mask: BoxMask | None
    regions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object: box x0, y0, x1, y1 in pixels of the upright image; `mask` is None where it is not known.

    `regions`: the ids of the regions that show it, those of the exact form first; a region without an id is not named.
    `score`: that of its first region, 0 to 1; None where it has none.
    """

    label: str
    box: Box
    mask: BoxMask | None
    regions: tuple[str, ...] = ()
    score: float | None = None

    @classmethod
    def of(cls, found: FoundObject) -> LabelledObject:
        """The object without its index."""
        return cls(found.label, found.box, found.mask, found.regions, _score(found.score))


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """What an annotation says of one image.

    `left_out`: a sentence for each region that shows an object which cannot be learnt, and why; where there is one, the
    objects are not all that there are. `no_objects`: how many regions on it show none.
    """

    objects: tuple[LabelledObject, ...]
    left_out: tuple[str, ...] = ()
    no_objects: int = 0


def join(pieces: Sequence[FoundObject]) -> FoundObject:
    """The pieces of one object in one control, as one."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    x0, y0 = (min(piece.box[side] for piece in pieces) for side in (0, 1))
    x1, y1 = (max(piece.box[side] for piece in pieces) for side in (2, 3))
    left, top, size = room((x0, y0, x1, y1))
    canvas = np.zeros(size, bool)
    for mask in (piece.mask for piece in pieces if piece.mask is not None):
        height, width = mask.bitmap.shape
        y, x = mask.y - top, mask.x - left
        canvas[y : y + height, x : x + width] |= mask.bitmap
    ids = tuple(region for piece in pieces for region in piece.regions)
    return FoundObject(
        first.index, first.label, first.score, (x0, y0, x1, y1), mask_at(left, top, canvas), ids
    )


def merge(objects: Sequence[FoundObject], others: Sequence[FoundObject]) -> list[FoundObject]:
    """The objects of the controls so far and of one more: what shows the same object becomes one.

    Each is joined to one other at most, the surest pairs first.
    """
    pairs = [
        (likeness, i, j)
        for i, one in enumerate(objects)
        for j, other in enumerate(others)
        if one.label == other.label and (likeness := _likeness(one, other)) is not None
    ]
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(pairs, reverse=True):
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    merged = [_union(one, others[partner[i]]) if i in partner else one for i, one in enumerate(objects)]
    return merged + [other for j, other in enumerate(others) if j not in taken]


def _likeness(one: FoundObject, other: FoundObject) -> tuple[bool, float] | None:
    """How sure it is that two regions of one label show the same object: (same score, IoU); None where they do not."""
    shared, first, second = _areas(one.box, other.box)
    iou = shared / (first + second - shared)
    same_score = one.score is not None and one.score == other.score
    inside = max(_inside(one.box, other.box), _inside(other.box, one.box))
    if iou >= SAME_OBJECT_IOU or (same_score and inside >= SAME_SCORE_INSIDE):
        return same_score, iou
    return None


def _inside(box: Box, other: Box) -> float:
    """The share of a box that lies in another, or within a pixel of it: masks have whole pixels, boxes do not."""
    x0, y0, x1, y1 = other
    shared, area, _ = _areas(box, (x0 - 1, y0 - 1, x1 + 1, y1 + 1))
    return shared / area


def _areas(one: Box, other: Box) -> tuple[float, float, float]:
    """The area that two boxes share, and theirs."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    first, second = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0.0) * max(height, 0.0), first, second


def _union(exact: FoundObject, coarse: FoundObject) -> FoundObject:
    """One object: the mask of the exact form where that is known, the box of a rectangle where there is one."""
    mask = exact.mask if exact.mask is not None else coarse.mask
    box = coarse.box if coarse.mask is None else exact.box
    index, ids = min(exact.index, coarse.index), exact.regions + coarse.regions
    return FoundObject(index, exact.label, exact.score, box, mask, ids)


def _score(value: Any) -> float | None:
    """A score; None for what is no number between 0 and 1."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
