"""A COCO export as one zip file: its annotation file and its images, unpacked where nothing else is."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fbnetv3.learning.coco import CocoError
from fbnetv3.learning.coco_files.decoding import decode_json
from fbnetv3.learning.coco_files.image_names import parts

GIB = 1 << 30

MOST_BYTES = 32 * GIB
"""Of all members together, unpacked."""

MOST_FILES = 1_000_000

ALWAYS_ALLOWED, MOST_TIMES = GIB // 4, 100
"""Beyond the first, an archive that unpacks to more than so many times its size is a bomb: images hardly shrink, and
text does so by a factor of 20."""

NOT_DATA = "__MACOSX"


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
    if not zipfile.is_zipfile(coco):
        if images is None:
            raise CocoError(f"the images of {coco} are not known: give their folder by --images")
        yield CocoFiles(coco, images, str(coco))
        return
    with tempfile.TemporaryDirectory(prefix="prelabel-coco-") as folder:
        root = Path(folder)
        try:
            _unpack(coco, root)
        except CocoError as error:
            raise CocoError(f"{coco} {error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise CocoError(f"{coco} cannot be unpacked: {error}") from None
        except OSError as error:
            raise CocoError(f"cannot unpack {coco}: {error.strerror or error}") from None
        found = _annotations(root, coco)
        yield CocoFiles(found, images or root, f"{coco}, {found.relative_to(root)},")


def _unpack(file: Path, root: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        _check_sizes(members, file.stat().st_size)
        for member in members:
            target = root.joinpath(*_steps(member))
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


def _annotations(root: Path, archive: Path) -> Path:
    """The one file with images and annotations in it."""
    candidates = [one for one in sorted(root.rglob("*.json")) if NOT_DATA not in one.parts]
    found = [one for one in candidates if _is_coco(one)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(one.relative_to(root)) for one in found[:4])
    what = (
        f"has {len(found)} COCO files ({names}): unpack it and give one of them"
        if found
        else ("has no COCO file, JSON with images and annotations, in it")
    )
    raise CocoError(f"{archive} {what}")


def _is_coco(file: Path) -> bool:
    try:
        return {"images", "annotations"} <= decode_json(file.read_bytes()).keys()
    except CocoError:
        return False
