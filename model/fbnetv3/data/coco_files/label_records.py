"""The label records of a COCO file: whose they are, which name they go by, and whether they are crowd regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.image_records import ImageRecord, by_any_id
from fbnetv3.data.coco_files.notes import Notes
from fbnetv3.data.coco_files.values import flag, identity, shown

Json = dict[str, Any]


@dataclass(frozen=True)
class LabelRecord:
    """A label as the file has it. `position`: in its list; `id`: None where it has none or another label has it, too;
    `name`: for people. `problem`: why it cannot be used, whatever it shows; empty where it can.
    """

    record: Json
    position: int
    id: int | None
    name: str
    category: int | None
    is_crowd: bool = False
    problem: str = ""


def read_label_records(value: Any, notes: Notes) -> list[LabelRecord]:
    """All labels, whatever they refer to. Raises CocoError for what is no list; none at all is an empty one."""
    if not isinstance(value, list | None):
        raise CocoError("is not in COCO's format: its annotations are no list")
    count = Counter(identity(record.get("id")) for record in value or [] if isinstance(record, dict))
    labels = []
    for position, record in enumerate(value or [], start=1):
        if not isinstance(record, dict):
            notes.leave_out(f"the annotation at position {position} is no record: {shown(record)}", labels=1)
            continue
        id_ = identity(record.get("id"))
        if id_ is None or count[id_] > 1:
            id_, name = None, f"at position {position}"
        else:
            name = str(record["id"])
        labels.append(LabelRecord(record, position, id_, name, identity(record.get("category_id"))))
    return labels


def with_crowds(labels: Iterable[LabelRecord], notes: Notes) -> list[LabelRecord]:
    """The labels with their flag read. Where every label of a file is a crowd region, none is."""
    found = []
    for label in labels:
        is_crowd = flag(label.record.get("iscrowd"))
        if is_crowd is None:
            problem = f"its iscrowd is {shown(label.record['iscrowd'])}, neither 0 nor 1"
            found.append(replace(label, problem=problem))
        else:
            found.append(replace(label, is_crowd=is_crowd))
    usable = [label for label in found if not label.problem]
    if not usable or not all(label.is_crowd for label in usable):
        return found
    notes.remark(
        f"all {len(usable)} labels have iscrowd 1, as CVAT writes it for masks drawn with a brush: "
        "they are read as single objects"
    )
    return [replace(label, is_crowd=False) for label in found]


def by_image(
    labels: Iterable[LabelRecord], category_of: Mapping[int, int], images: Iterable[ImageRecord], notes: Notes
) -> dict[int, list[LabelRecord]]:
    """Image id -> its labels with clean category ids, those that are written twice once. Also those without a usable
    category are there: their image is not one without objects.
    """
    image_of = by_any_id(images)
    found: dict[int, list[LabelRecord]] = {}
    seen: set[tuple[int, str]] = set()
    for label in labels:
        image_id = identity(label.record.get("image_id"))
        image = None if image_id is None else image_of.get(image_id)
        category = None if label.category is None else category_of.get(label.category)
        if image is None:
            notes.leave_out(
                f"annotation {label.name}: {_no_such(label.record, 'image', 'image_id')}", labels=1
            )
            continue
        problem = label.problem
        if category is None and not problem:
            problem = _no_such(label.record, "category", "category_id")
        content = (image.id, f"{category} {label.record.get('bbox')} {label.record.get('segmentation')}")
        if content in seen and not problem:
            notes.repair("annotation", label.name, "the same as another one of its image, and read once")
            continue
        seen.add(content)
        found.setdefault(image.id, []).append(replace(label, category=category, problem=problem))
    return found


def _no_such(record: Json, kind: str, key: str) -> str:
    if record.get(key) is None:
        return f"it has no {key}"
    return f"there is no {kind} {shown(record[key])} that can be used"
