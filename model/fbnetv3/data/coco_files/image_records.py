"""The image records of a COCO file: one for each image file, however often and however it is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.frames import Size
from fbnetv3.data.coco_files.image_files import Found, ImageFiles
from fbnetv3.data.coco_files.notes import Notes
from fbnetv3.data.coco_files.values import clean_text, identity, number, shown

Json = dict[str, Any]

LEARNT_FROM = "train"
"""The split that is trained on; an image that also has another one is held out."""

KEPT = {"task": int, "annotation": int, "image_key": str, "image_labels": object}
"""What prelabel's own snapshots say of an image, and of which kind it is."""

NAME_KEYS = ("file_name", "path", "coco_url", "flickr_url")


@dataclass
class ImageRecord:
    """An image: its ids in the file, all but the first of records merged into it; its name and the `found` file.

    `claimed`: the (width, height) that the file says, None where it does not.
    """

    id: int
    name: str
    split: str | None
    claimed: Size | None
    kept: Json
    found: Found
    others: list[int] = field(default_factory=list)


def read_images(value: Any, files: ImageFiles, notes: Notes) -> list[ImageRecord]:
    """Images whose labels can be told, those without a file too. Raises CocoError where there is no list of them."""
    if not isinstance(value, list) or not value:
        raise CocoError("has no images: it is not in COCO's format, or nothing was exported")
    named = [one for position, record in enumerate(value) if (one := _read(position, record, files, notes))]
    return _merged(_distinct(named, notes), notes)


def _read(position: int, record: Any, files: ImageFiles, notes: Notes) -> ImageRecord | None:
    where = f"the image at position {position + 1}"
    if not isinstance(record, dict):
        notes.leave_out(f"{where} is no record: {shown(record)}", images=1)
        return None
    name = next((text for key in NAME_KEYS if (text := clean_text(record.get(key)).strip())), "")
    id_ = identity(record.get("id"))
    if not name or id_ is None:
        notes.leave_out(f"{name or where} has no {'id' if name else 'file_name'}", images=1)
        return None
    sides = number(record.get("width")) or 0.0, number(record.get("height")) or 0.0
    split = clean_text(record.get("split")).strip().casefold() or None
    kept = {key: record[key] for key, kind in KEPT.items() if key in record and isinstance(record[key], kind)}
    return ImageRecord(id_, name, split, sides if min(sides) > 0 else None, kept, files.find(name))


def _distinct(records: Iterable[ImageRecord], notes: Notes) -> list[ImageRecord]:
    """Each id once; none that two files have."""
    by_id: dict[int, dict[str, ImageRecord]] = {}
    for record in records:
        by_id.setdefault(record.id, {}).setdefault(record.found.file or record.name, record)
    for id_, several in by_id.items():
        if len(several) > 1:
            names = " and ".join(record.name for record in several.values())
            notes.leave_out(
                f"{names} have the same image id {id_}: whose labels are whose cannot be told",
                images=len(several),
            )
    return [record for several in by_id.values() if len(several) == 1 for record in several.values()]


def _merged(records: list[ImageRecord], notes: Notes) -> list[ImageRecord]:
    """One record for each file."""
    sharing: dict[str, list[ImageRecord]] = {}
    for record in records:
        if record.found.file is not None:
            sharing.setdefault(record.found.file, []).append(record)
    dropped: set[int] = set()
    for file, alike in sharing.items():
        owners = _owners(file, alike)
        for other in owners[1:]:
            _merge(owners[0], other, notes)
            dropped.add(other.id)
    return [record for record in records if record.id not in dropped]


def _owners(file: str, records: list[ImageRecord]) -> list[ImageRecord]:
    """Of records with one file those that surely mean it; the others, whose names only end like it, have none then."""
    owners = [record for record in records if record.found.is_literal]
    if not owners and len({record.name for record in records}) == 1:
        return records
    names = " and ".join(record.name for record in records[:3])
    for record in records:
        if not record.found.is_literal:
            record.found = Found(None, why=f"{names} would be the same file {file}")
    return owners


def _merge(first: ImageRecord, other: ImageRecord, notes: Notes) -> None:
    what = f"the same file as image {first.id}, and read as that image"
    first.others.append(other.id)
    if first.split != other.split:
        held_out = {first.split, other.split} - {LEARNT_FROM, None}
        first.split = min((split for split in held_out if split), default=LEARNT_FROM)
        what += f"; its split is {first.split!r}, so that nobody is judged by what was trained on"
    notes.repair("image", str(other.id), what)


def of_split(records: Iterable[ImageRecord], split: str | None) -> list[ImageRecord]:
    """Those of a split, of all where none is asked for."""
    return [record for record in records if split is None or record.split == split.strip().casefold()]


def by_any_id(records: Iterable[ImageRecord]) -> Mapping[int, ImageRecord]:
    """Each id in the file -> the image that it stands for."""
    return {id_: record for record in records for id_ in (record.id, *record.others)}
