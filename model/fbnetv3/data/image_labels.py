"""Whole-image labels in a snapshot: which choices there are, and what people chose for an image.

The data's `image_heads` lists the choices, `[{"name": "weather", "classes": ["sun", "rain"], "multi_label": false}]`;
an image record's `image_labels` has what was chosen, `{"weather": ["sun"]}`. An image without the key, or without a
choice's name in it, is not labelled for that choice; an empty list says "none of them", where several may hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import CocoError

HEADS, LABELS = "image_heads", "image_labels"


@dataclass(frozen=True)
class HeadSpec:
    """One choice about a whole image: one of the classes holds, or with `multi_label` any number of them."""

    name: str
    classes: tuple[str, ...]
    multi_label: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON, as in a snapshot's `image_heads`."""
        return asdict(self) | {"classes": list(self.classes)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HeadSpec:
        """What `as_dict` gave."""
        return cls(data["name"], tuple(data["classes"]), data["multi_label"])


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the classes chosen for it, by head; heads for which it is not labelled are left out."""

    path: Path
    chosen: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_record(cls, record: Mapping[str, Any], images: Path) -> LabelledImage:
        """Of a checked image record; `images` is the folder of the file names."""
        chosen = {name: tuple(classes) for name, classes in record.get(LABELS, {}).items()}
        return cls(images / record["file_name"], chosen)


def head_specs(data: Mapping[str, Any]) -> tuple[HeadSpec, ...]:
    """The choices of checked snapshot data, in its order."""
    return tuple(HeadSpec.from_dict(head) for head in data.get(HEADS, ()))


def truth_of(chosen: Sequence[Sequence[str]], classes: Sequence[str]) -> Array:
    """n images' chosen classes as (n, classes) bool; classes that are not listed are left out."""
    return np.array([[name in one for name in classes] for one in chosen], bool).reshape(-1, len(classes))


def check_image_labels(data: Mapping[str, Any]) -> None:
    """Raise CocoError, a sentence without a subject, for choices that are not as this module's docstring says."""
    heads = data.get(HEADS, [])
    if not isinstance(heads, list):
        raise CocoError(f"has {HEADS} that are no list")
    for head in heads:
        _check_head(head)
    specs = {spec.name: spec for spec in head_specs(data)}
    if len(specs) < len(heads):
        raise CocoError(f"has two {HEADS} of one name")
    for image in data["images"]:
        _check_chosen(image, specs)


def _check_head(head: Any) -> None:
    if not isinstance(head, dict) or not _is_name(head.get("name")):
        raise CocoError(f"has {HEADS} without a name")
    classes = head.get("classes")
    if not _are_distinct_names(classes) or not classes:
        raise CocoError(f"has an image head {head['name']!r} whose classes are not distinct names")
    if not isinstance(head.get("multi_label"), bool):
        raise CocoError(f"has an image head {head['name']!r} whose multi_label is not true or false")


def _check_chosen(image: Mapping[str, Any], specs: Mapping[str, HeadSpec]) -> None:
    name = image["file_name"]
    labels = image.get(LABELS, {})
    if not isinstance(labels, dict):
        raise CocoError(f"has {LABELS} of {name} that are not lists by head")
    for head, classes in labels.items():
        if head not in specs:
            raise CocoError(f"has {LABELS} of {name} for {head!r}, which is not among its {HEADS}")
        if not _are_distinct_names(classes) or not set(classes) <= set(specs[head].classes):
            raise CocoError(f"has {LABELS} of {name} that are not classes of {head!r}")
        if len(classes) != 1 and not specs[head].multi_label:
            raise CocoError(f"has {len(classes)} classes of {head!r} for {name} instead of one")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_distinct_names(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_name, values)) and len(set(values)) == len(values)
