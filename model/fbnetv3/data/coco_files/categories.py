"""The categories of a COCO file: each with a whole number as id, each name once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.notes import Notes
from fbnetv3.data.coco_files.values import clean_text, identity, shown
from fbnetv3.data.label_names import folded


@dataclass(frozen=True)
class Categories:
    """`records`: clean ones. `of`: an id in the file -> the id of the category that it stands for."""

    records: list[dict[str, Any]]
    of: dict[int, int]


def read_categories(value: Any, used: Collection[int], notes: Notes) -> Categories:
    """`used`: the category ids that labels have. Raises CocoError where there is no category to use."""
    if not isinstance(value, list) or not value:
        raise CocoError('has no categories: it needs "categories": [{"id": 1, "name": "apple"}, ...]')
    found = _distinct(
        [one for position, record in enumerate(value) if (one := _read(position, record, notes))], notes
    )
    records, of = _without_equal_names(found, used, notes)
    if not records:
        raise CocoError("has no category with an id and a name, which each label needs")
    return Categories(records, of)


def _read(position: int, record: Any, notes: Notes) -> tuple[int, str] | None:
    id_ = identity(record.get("id")) if isinstance(record, dict) else None
    if id_ is None:
        notes.remark(f"category at position {position + 1} is left out: it has no id ({shown(record)})")
        return None
    name = clean_text(record.get("name"))
    if not name.strip():
        notes.remark(f"category {id_} is left out, and labels that have it: it has no name")
        return None
    if not isinstance(record["name"], str):
        notes.repair("category", str(id_), "the name is a number, read as text")
    return id_, name.strip()


def _distinct(found: list[tuple[int, str]], notes: Notes) -> list[tuple[int, str]]:
    """Each id once; none whose name is not certain."""
    names: dict[int, dict[str, str]] = {}
    for id_, name in found:
        names.setdefault(id_, {}).setdefault(folded(name), name)
    for id_, several in names.items():
        if len(several) > 1:
            both = " and ".join(several.values())
            notes.remark(f"{both} have the same category id {id_}: labels that have it are left out")
    return [(id_, *several.values()) for id_, several in names.items() if len(several) == 1]  # type: ignore[misc]


def _without_equal_names(
    found: list[tuple[int, str]], used: Collection[int], notes: Notes
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Of equal names only those that labels have, and these as one."""
    count = Counter(folded(name) for _, name in found)
    is_used = {folded(name) for id_, name in found if id_ in used}
    kept: dict[str, dict[str, Any]] = {}
    of: dict[int, int] = {}
    for id_, name in found:
        key = folded(name)
        if count[key] > 1 and id_ not in used and key in is_used:
            notes.repair(
                "category", str(id_), f"dropped, as no label has it and another one is called {name!r}"
            )
            continue
        if key in kept:
            first = kept[key]
            notes.repair(
                "category",
                str(id_),
                f"read as category {first['id']}, {first['name']!r}, of an equal name",
            )
        of[id_] = kept.setdefault(key, {"id": id_, "name": name})["id"]
    return list(kept.values()), of
