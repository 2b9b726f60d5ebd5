"""A COCO export as one zip file: its annotation file and its images, unpacked where nothing else is."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files.decoding import decode_json
from fbnetv3.data.coco_files.image_names import parts

GIB = 1 << 30

MOST_BYTES = 32 * GIB
"""Of all members together, unpacked."""

MOST_FILES = 1_000_000

ALWAYS_ALLOWED, MOST_TIMES = GIB // 4, 100
"""Beyond the first, an archive that unpacks to more than so many times its size is a bomb: images hardly shrink, and
text does so by a factor of 20."""

NOT_DATA = "__MACOSX"
SIGNATURE = b"PK\3\4"

DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error, RuntimeError)
"""What zipfile raises on damaged or unusual archives, depending on the place."""


@dataclass(frozen=True)
class CocoFiles:
    """An annotation file, the folder of its images, and how the first is called."""

    annotations: Path
    images: Path
    name: str


@contextmanager
def unpacked(coco: Path, images: Path | None) -> Iterator[CocoFiles]:
    """The files that `--coco` and `--images` name; those of a zip are there until the end.

    `images` may be None for a zip, which then has them. Raises CocoError for an archive that is damaged, not safe to
    unpack or has no or several COCO files, and where the images are not known.
    """
    if not _is_zip(coco):
        if images is None:
            raise CocoError(f"the images of {coco} are not known: give their folder by --images")
        yield CocoFiles(coco, images, str(coco))
        return
    with tempfile.TemporaryDirectory(prefix="prelabel-coco-") as folder:
        root = Path(folder)
        try:
            _unpack(coco, root)
            found = _annotations(root)
        except CocoError as error:
            raise CocoError(f"{coco} {error}") from None
        except OSError as error:
            raise CocoError(f"cannot unpack {coco}: {error.strerror or error}") from None
        except DAMAGE as error:
            raise CocoError(f"{coco} is a damaged zip file: {error}") from None
        yield CocoFiles(found, images or root, f"{coco}, {found.relative_to(root)},")


def _is_zip(file: Path) -> bool:
    """By its beginning: the end, where its directory is, may be missing."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(SIGNATURE)) == SIGNATURE or zipfile.is_zipfile(file)
    except OSError:
        return False


def _unpack(file: Path, root: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        _check_sizes(members, file.stat().st_size)
        targets = [root.joinpath(*_steps(member)) for member in members]
        for member, target in zip(members, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)


def _check_sizes(members: list[zipfile.ZipInfo], packed: int) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MOST_FILES:
        raise CocoError(
            f"has {len(members):,} files, more than {MOST_FILES:,}: unpack it and give the folder"
        )
    if total > MOST_BYTES or (total > ALWAYS_ALLOWED and total > MOST_TIMES * packed):
        raise CocoError(
            f"would unpack to {total / GIB:.1f} GiB, {total / packed:.0f} times its size: unpack it yourself if "
            "that is right"
        )


def _steps(member: zipfile.ZipInfo) -> tuple[str, ...]:
    """Where a member goes. Raises CocoError for one that leads outside, is a link or is encrypted."""
    name = member.filename.replace("\\", "/")
    steps = parts(name)
    if steps is None or ":" in PurePosixPath(name).parts[0]:
        raise CocoError(f"is not safe to unpack: it has a file {member.filename!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise CocoError(f"is not safe to unpack: {member.filename!r} is a link")
    if member.flag_bits & 1:
        raise CocoError("is encrypted: unpack it first")
    return steps


def _annotations(root: Path) -> Path:
    """The one file with images and annotations in it."""
    files = (one for one in sorted(root.rglob("*")) if one.suffix.lower() == ".json" and one.is_file())
    found = [one for one in files if NOT_DATA not in one.parts and _is_coco(one)]
    if not found:
        raise CocoError("has no COCO file in it, which is JSON with images and annotations")
    if len(found) > 1:
        names = ", ".join(str(one.relative_to(root)) for one in found[:4])
        raise CocoError(f"has {len(found)} COCO files in it ({names}): unpack it and give one of them")
    return found[0]


def _is_coco(file: Path) -> bool:
    try:
        return {"images", "annotations"} <= decode_json(file.read_bytes()).keys()
    except CocoError:
        return False
