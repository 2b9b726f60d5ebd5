"""Label Studio regions as labelled objects: pure conversion, the reverse of `predictions`; see docs/labels.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prelabel.labelstudio.config.object_controls import ObjectControl, ObjectControls
from prelabel.labelstudio.regions.labelled_objects import (
    FoundObject,
    LabelledImage,
    LabelledObject,
    join,
    merge,
)
from prelabel.labelstudio.regions.other_regions import (
    id_of,
    ignored_ids,
    is_drawn,
    labels_by_id,
    labels_in,
    other_regions,
    skipped_objects,
)
from prelabel.labelstudio.shapes import LABELS, SHAPES, Drawn, RegionError, Shape


@dataclass(frozen=True, eq=False)
class _Annotation:
    """The regions of an annotation with what their labels and sizes are read by.

    `ignored`: ids of those that the config leaves aside. `left_out`: index -> why not.
    """

    result: Sequence[Mapping[str, Any]]
    controls: ObjectControls
    image_size: tuple[int, int]
    labels_by_id: Mapping[str, list[str]]
    ignored: Collection[str]
    left_out: dict[int, str]


def to_objects(
    result: Sequence[Mapping[str, Any]], controls: ObjectControls, image_key: str, image_size: tuple[int, int]
) -> LabelledImage:
    """The objects in the image under `image_key`, (height, width) pixels when upright, in the annotation's order.

    What each shape becomes is said in `shapes`. Polygons of one label that `parentID` joins are one object, and so are
    regions of different controls where `labelled_objects` says so.
    """
    reasons, no_objects = other_regions(result, controls, image_key)
    labels, ignored = labels_by_id(result, controls), ignored_ids(result, controls)
    annotation = _Annotation(result, controls, image_size, labels, ignored, reasons)
    objects: list[FoundObject] = []
    on_image = controls.on(image_key)
    for shape in SHAPES:
        for control in (one for one in on_image if one.shape is shape):
            objects = merge(objects, _in_control(annotation, control, shape))
    if not objects and not reasons:
        reasons |= skipped_objects(result, controls, image_key)
    objects.sort(key=lambda one: one.index)
    left_out = (f"{_named(result[index])} {reason}" for index, reason in sorted(reasons.items()))
    return LabelledImage(tuple(map(LabelledObject.of, objects)), tuple(left_out), no_objects)


def _in_control(annotation: _Annotation, control: ObjectControl, shape: Shape) -> list[FoundObject]:
    """The objects of one control; why others cannot be learnt is noted in the annotation."""
    found: list[FoundObject] = []
    groups: dict[tuple[str, str], list[FoundObject]] = {}
    parents = {str(region["parentID"]) for region in annotation.result if region.get("parentID")}
    for index, region in enumerate(annotation.result):
        if (region.get("from_name"), region.get("to_name")) != (control.from_name, control.to_name):
            continue
        if region.get("type") not in shape.types and not is_drawn(region):
            continue
        if id_of(region) in annotation.ignored:
            continue
        try:
            box, mask = _drawn(region, shape, annotation.image_size)
            label = _label(region, annotation, control, shape)
        except RegionError as error:
            annotation.left_out[index] = str(error)
            continue
        ids = (id_of(region),) if id_of(region) else ()
        one = FoundObject(index, label, region.get("score"), box, mask, ids)
        whole = str(region.get("parentID") or id_of(region))
        if shape.in_pieces and whole in parents:
            groups.setdefault((whole, label), []).append(one)
        else:
            found.append(one)
    return found + [join(pieces) for pieces in groups.values()]


def _label(region: Mapping[str, Any], annotation: _Annotation, control: ObjectControl, shape: Shape) -> str:
    """The first of a region's labels, as an object has one; of a region without any the only one that it can have."""
    labels = (
        labels_in(region, shape.labelled_type)
        or labels_in(region, LABELS)
        or annotation.labels_by_id.get(id_of(region))
    )
    if not labels:
        if only := annotation.controls.only_label(control):
            return only
        raise RegionError("has no label")
    names = annotation.controls.label_names
    if labels[0] not in names:
        raise RegionError(f"has the label {labels[0]!r}, which the labelling config does not have")
    return names[labels[0]]


def _drawn(region: Mapping[str, Any], shape: Shape, image_size: tuple[int, int]) -> Drawn:
    if not _is_upright(region.get("image_rotation")):
        raise RegionError("was drawn while the image was turned in the editor, which is not supported")
    if region.get("type") not in shape.types:
        raise RegionError(f"is of the type {region.get('type')!r}, which its tag does not draw")
    try:
        return shape.read(region["value"], image_size)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, RegionError):
            raise
        raise RegionError("cannot be read: its geometry is incomplete") from None


def _is_upright(rotation: Any) -> bool:
    """Whether an image was turned in the editor by nothing, or by whole turns."""
    try:
        return float(rotation or 0) % 360 == 0
    except (TypeError, ValueError, OverflowError):
        return False


def _named(region: Mapping[str, Any]) -> str:
    return f"region {region.get('id')} of {region.get('from_name')!r}"
