"""Label Studio regions as labelled objects: pure conversion, the reverse of `regions`; described in docs/labels.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.brush_rle import RleError, rle_to_mask
from prelabel.labelstudio.object_controls import LABELS, ObjectControl, ObjectControls
from prelabel.labelstudio.polygons import fill

SAME_OBJECT_IOU = 0.9
"""Of the boxes of two regions with one label in different controls, from which they show the same object."""

SAME_SCORE_INSIDE = 0.9
"""The share of one box in the other, from which two such regions with one score do: they were made from one instance.
The mask of a thin object can be much smaller than the box that the network gave it."""

FORMS = {"brush": 0, "polygon": 1, "rectangle": 2}
"""From the exact form of an object to the coarse: where several show one, the first mask and the last box count."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object: box x0, y0, x1, y1 in pixels of the upright image; `mask` is None where it is not known.

    `regions`: the ids of the regions that show it, those of the exact form first; a region without an id is not named.
    `score`: that of its first region, None where it has none.
    """

    label: str
    box: Box
    mask: BoxMask | None
    regions: tuple[str, ...] = ()
    score: float | None = None


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """What an annotation says of one image. `left_out`: a sentence for each region that is no object, and why."""

    objects: tuple[LabelledObject, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Found:
    """An object in one control; `place` is that of its region in the annotation, `regions` are the ids."""

    place: int
    label: str
    score: Any
    box: Box
    mask: BoxMask | None
    regions: tuple[str, ...]

    @property
    def labelled(self) -> LabelledObject:
        """The object without its place."""
        score = float(self.score) if isinstance(self.score, int | float) else None
        return LabelledObject(self.label, self.box, self.mask, self.regions, score)


class _RegionError(ValueError):
    """Why a region is no object: the rest of a sentence about it."""


def to_objects(
    result: Sequence[Mapping[str, Any]], controls: ObjectControls, image_key: str, image_size: tuple[int, int]
) -> LabelledImage:
    """The objects in the image under `image_key`, (height, width) pixels when upright, in the annotation's order.

    A rectangle is a box, a rotated one the box around it; a polygon and a brush stroke are a mask and its box.
    Polygons of one label that `parentID` joins are one object, and so are regions of different controls where
    `_same_object` says so. Regions of other controls are passed over: `count_ignored` counts them.
    """
    left_out: list[str] = []
    objects: list[_Found] = []
    on_image = [control for control in controls.controls if control.image_key == image_key]
    drawing = [control for control in on_image if control.shape is not None]
    labels = _labels_by_id(result, {(c.from_name, c.to_name) for c in on_image if c.shape is None})
    for control in sorted(drawing, key=lambda control: FORMS[str(control.shape)]):
        found = _in_control(result, control, labels, controls.label_names, image_size, left_out)
        objects = _merge(objects, found)
    objects.sort(key=lambda one: one.place)
    return LabelledImage(tuple(one.labelled for one in objects), tuple(left_out))


def count_ignored(result: Sequence[Mapping[str, Any]], controls: ObjectControls) -> int:
    """Regions of controls that draw no shape or are not on an image of the config."""
    known = {(control.from_name, control.to_name) for control in controls.controls}
    return sum(
        "from_name" in region and (region["from_name"], region.get("to_name")) not in known
        for region in result
    )


def _labels_by_id(
    result: Sequence[Mapping[str, Any]], label_controls: set[tuple[str, str]]
) -> dict[Any, list[str]]:
    """Id of a shape -> its labels from a Labels tag, whose region has the same id."""
    return {
        region.get("id"): _labels(region, LABELS)
        for region in result
        if region.get("type") == LABELS and (region.get("from_name"), region.get("to_name")) in label_controls
    }


def _in_control(
    result: Sequence[Mapping[str, Any]],
    control: ObjectControl,
    labels: Mapping[Any, list[str]],
    names: Mapping[str, str],
    image_size: tuple[int, int],
    left_out: list[str],
) -> list[_Found]:
    """The objects of one control; why others are left out is added to `left_out`."""
    found: list[_Found] = []
    groups: dict[Any, list[_Found]] = {}
    for place, region in enumerate(result):
        if (region.get("from_name"), region.get("to_name")) != (control.from_name, control.to_name):
            continue
        if region.get("type") != control.type:
            continue
        try:
            label = _label(_labels(region, control.type) or labels.get(region.get("id"), []), names)
            box, mask = _geometry(region, str(control.shape), image_size)
        except _RegionError as error:
            left_out.append(f"region {region.get('id')} of {control.from_name!r} {error}")
            continue
        ids = (str(region["id"]),) if region.get("id") else ()
        one = _Found(place, label, region.get("score"), box, mask, ids)
        if control.shape == "polygon":
            groups.setdefault((region.get("parentID") or region.get("id"), label), []).append(one)
        else:
            found.append(one)
    return found + [_joined(pieces) for pieces in groups.values()]


def _labels(region: Mapping[str, Any], key: str) -> list[str]:
    value = region.get("value")
    labels = value.get(key) if isinstance(value, Mapping) else None
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _label(labels: Sequence[str], names: Mapping[str, str]) -> str:
    """The first of a region's labels: an object has one."""
    if not labels:
        raise _RegionError("has no label")
    if labels[0] not in names:
        raise _RegionError(f"has the label {labels[0]!r}, which the labelling config does not have")
    return names[labels[0]]


def _geometry(
    region: Mapping[str, Any], shape: str, image_size: tuple[int, int]
) -> tuple[Box, BoxMask | None]:
    if region.get("image_rotation"):
        raise _RegionError("was drawn while the image was turned in the editor, which is not supported")
    try:
        value = region["value"]
        if shape == "rectangle":
            return _clipped(_corners(value, image_size), image_size), None
        if shape == "polygon":
            return _polygon(value, image_size)
        return _brush(value, image_size)
    except RleError as error:
        raise _RegionError(f"cannot be read: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, _RegionError):
            raise
        raise _RegionError("cannot be read: its geometry is incomplete") from None


def _corners(value: Mapping[str, Any], image_size: tuple[int, int]) -> np.ndarray:
    """(4, 2) x, y in pixels of a rectangle, which is turned clockwise about its top-left corner."""
    height, width = image_size
    x, y = value["x"] / 100 * width, value["y"] / 100 * height
    across, down = value["width"] / 100 * width, value["height"] / 100 * height
    turned = math.radians(value.get("rotation") or 0)
    along = np.array([math.cos(turned), math.sin(turned)]) * across
    below = np.array([-math.sin(turned), math.cos(turned)]) * down
    return np.array([x, y]) + np.array([along * 0, along, along + below, below])


def _polygon(value: Mapping[str, Any], image_size: tuple[int, int]) -> tuple[Box, BoxMask | None]:
    height, width = image_size
    points = np.array(value["points"], np.float64).reshape(-1, 2) / 100 * (width, height)
    if len(points) < 3:
        raise _RegionError("has fewer than three points")
    box = _clipped(points, image_size)
    x0, y0 = math.floor(box[0]), math.floor(box[1])
    room = math.ceil(box[3]) - y0, math.ceil(box[2]) - x0
    mask = BoxMask.from_full(fill(points - (x0, y0), room))
    return box, BoxMask(x0 + mask.x, y0 + mask.y, mask.bitmap) if mask.area else None


def _brush(value: Mapping[str, Any], image_size: tuple[int, int]) -> tuple[Box, BoxMask]:
    mask = rle_to_mask(value["rle"], image_size)
    if not mask.area:
        raise _RegionError("has no area")
    height, width = mask.bitmap.shape
    return (float(mask.x), float(mask.y), float(mask.x + width), float(mask.y + height)), mask


def _clipped(points: np.ndarray, image_size: tuple[int, int]) -> Box:
    """The box around points (n, 2), inside the image."""
    if not np.isfinite(points).all():
        raise _RegionError("cannot be read: its geometry is not a number")
    inside = np.clip(points, 0, image_size[::-1])
    (x0, y0), (x1, y1) = inside.min(0).tolist(), inside.max(0).tolist()
    if x0 >= x1 or y0 >= y1:
        raise _RegionError("has no area in the image")
    return x0, y0, x1, y1


def _joined(pieces: Sequence[_Found]) -> _Found:
    """The polygons of one object."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    x0, y0 = (min(piece.box[side] for piece in pieces) for side in (0, 1))
    x1, y1 = (max(piece.box[side] for piece in pieces) for side in (2, 3))
    left, top = math.floor(x0), math.floor(y0)
    canvas = np.zeros((math.ceil(y1) - top, math.ceil(x1) - left), bool)
    for mask in (piece.mask for piece in pieces if piece.mask is not None):
        height, width = mask.bitmap.shape
        y, x = mask.y - top, mask.x - left
        canvas[y : y + height, x : x + width] |= mask.bitmap
    whole = BoxMask.from_full(canvas)
    joined = BoxMask(left + whole.x, top + whole.y, whole.bitmap) if whole.area else None
    ids = tuple(region for piece in pieces for region in piece.regions)
    return _Found(first.place, first.label, first.score, (x0, y0, x1, y1), joined, ids)


def _merge(objects: Sequence[_Found], others: Sequence[_Found]) -> list[_Found]:
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


def _likeness(one: _Found, other: _Found) -> tuple[bool, float] | None:
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


def _union(exact: _Found, coarse: _Found) -> _Found:
    """One object: the mask of the exact form where that is known, the box of a rectangle where there is one."""
    mask = exact.mask if exact.mask is not None else coarse.mask
    box = coarse.box if coarse.mask is None else exact.box
    place, ids = min(exact.place, coarse.place), exact.regions + coarse.regions
    return _Found(place, exact.label, exact.score, box, mask, ids)
