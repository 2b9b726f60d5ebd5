"""What a person did to a prediction, told from the annotation that came of it: pure counting, no I/O.

Label Studio's editor marks every region with its `origin`: "prediction" was kept as it was, "prediction-changed" was
changed, "manual" was added. Bulk accepting leaves no origin, and editing such an annotation later makes everything
"manual": then the region's id tells, which is the one that it has in the prediction. Other ids that the editor gives
cost nothing: what is left over of the prediction was deleted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fbnetv3.judging.effort import Effort
from prelabel.labelstudio.shapes import SHAPE_OF_TAG

Geometry = Literal["box", "mask"]
Result = Iterable[Mapping[str, Any]]

TOLERANCE = 0.01
"""Percent of the image (for RLE: of a grey value) by which numbers may differ that were written twice."""

Values = dict[str, Any]


@dataclass(frozen=True)
class EditedRegion:
    """One region: its results (a shape, and labels where the config keeps them apart) under one id."""

    geometry: Geometry
    origin: str
    values: Values


@dataclass(frozen=True)
class Edits:
    """Regions by what became of them, each a count per geometry. Annotations add up with `+`."""

    annotations: int = 0
    kept: Counter[Geometry] = field(default_factory=Counter)
    changed: Counter[Geometry] = field(default_factory=Counter)
    added: Counter[Geometry] = field(default_factory=Counter)
    deleted: Counter[Geometry] = field(default_factory=Counter)

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.annotations + other.annotations,
            self.kept + other.kept,
            self.changed + other.changed,
            self.added + other.added,
            self.deleted + other.deleted,
        )

    @property
    def no_edit_share(self) -> float | None:
        """Of the regions that are in the annotations, those that the model drew right; None without regions."""
        regions = self.kept.total() + self.changed.total() + self.added.total()
        return self.kept.total() / regions if regions else None

    def seconds_with(self, effort: Effort) -> float:
        """What the annotations took, starting from predictions."""
        return (
            self.kept.total() * effort.check
            + self.changed["box"] * effort.correct_box
            + self.changed["mask"] * effort.correct_mask
            + self.added["box"] * effort.draw_box
            + self.added["mask"] * effort.draw_mask
            + self.deleted.total() * effort.delete
        )

    def seconds_without(self, effort: Effort) -> float:
        """What they would have taken from nothing."""
        regions = self.kept + self.changed + self.added
        return regions["box"] * effort.draw_box + regions["mask"] * effort.draw_mask


def count_edits(annotation: Result, prediction: Result) -> Edits:
    """What a person did to get from the regions of a prediction to those of an annotation (Label Studio's results).

    What is no region (choices, relations, key points) does not count.
    """
    predicted, found = regions_of(prediction), regions_of(annotation)
    kept: Counter[Geometry] = Counter()
    changed: Counter[Geometry] = Counter()
    added: Counter[Geometry] = Counter()
    for region_id, region in found.items():
        counter = {"kept": kept, "changed": changed, "added": added}[_fate(region, predicted.get(region_id))]
        counter[region.geometry] += 1
    deleted = Counter(region.geometry for region in predicted.values())
    deleted.subtract(kept)
    deleted.subtract(changed)
    return Edits(1, kept, changed, added, +deleted)


def regions_of(results: Result) -> dict[str, EditedRegion]:
    """Id -> region, for the results that have a shape; one without an id is a region of its own."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for number, result in enumerate(results):
        grouped.setdefault(str(result.get("id") or f"without id {number}"), []).append(result)
    return {
        region_id: EditedRegion(
            geometry, _origin(group), {str(one.get("type")): one.get("value") for one in group}
        )
        for region_id, group in grouped.items()
        if (geometry := _geometry(group))
    }


def _geometry(group: list[Mapping[str, Any]]) -> Geometry | None:
    shapes = [SHAPE_OF_TAG[kind] for result in group if (kind := str(result.get("type"))) in SHAPE_OF_TAG]
    if any(shape.is_outline for shape in shapes):
        return "mask"
    return "box" if shapes else None


def _origin(group: list[Mapping[str, Any]]) -> str:
    """Of a shape and its labels the one that was touched counts."""
    origins = {str(result.get("origin") or "") for result in group}
    return next((one for one in ("prediction-changed", "prediction") if one in origins), "")


def _fate(region: EditedRegion, predicted: EditedRegion | None) -> Literal["kept", "changed", "added"]:
    if region.origin:
        return "kept" if region.origin == "prediction" else "changed"
    if predicted is None:
        return "added"
    return "kept" if _is_same(region.values, predicted.values) else "changed"


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, abs_tol=TOLERANCE)
    return bool(one == other)
