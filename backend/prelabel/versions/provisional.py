"""Provisional versions: a row in the store, and a file of some kilobytes; served by the base weights with its head.

    models/provisional/p3-provisional-7-1f0c8a66d2e4.safetensors

The file appears whole, before the row: one without a row was left by a process that ended in between, or belongs to
another database. Its name ends in a digest of it, and its number is not given again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from fbnetv3.files import file_sha256
from fbnetv3.provisional import RegionHead, provisional_detector, read_head, write_head
from fbnetv3.weights import WeightsError
from prelabel.inference.predictor import Predictor
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.provisional import (
    NAME,
    LabelsRead,
    ProvisionalVersion,
    find_provisional,
    kept_files,
    name_of,
    newest_number,
    provisional_version,
    put_version,
    set_kept_files,
)
from prelabel.versions.records import VersionError

SUFFIX = ".safetensors"

MADE_AGAIN = "it is made again with the next label, or when the worker starts"

UNFINISHED = "making.tmp"

KEPT_FILES = 2
"""The newest, and the one before it, which a server that is a second behind the store may still be about to read."""


@contextmanager
def only_maker(settings: Settings, project_id: int) -> Iterator[None]:
    """Nobody else makes a provisional version of the project meanwhile. Raises WeightsError where the disk refuses."""
    folder = _folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".p{project_id}.lock")
        lock.acquire()
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def store_provisional(
    settings: Settings,
    database: Database,
    project_id: int,
    head: RegionHead,
    made_from: str,
    read: LabelsRead,
) -> ProvisionalVersion:
    """Make this head the project's newest provisional version, and remove files that nothing reads any more. To be
    called by the `only_maker`. Raises WeightsError where the disk refuses; there is no version then.
    """
    folder = _folder(settings)
    number = max(newest_number(database, project_id), _highest_number(folder, project_id)) + 1
    making = folder / f".p{project_id}.{UNFINISHED}"
    try:
        write_head(head, making)
        sha256 = file_sha256(making)
        file = _file_name(name_of(project_id, number), sha256)
        making.replace(folder / file)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written: {error.strerror or error}") from error
    version = ProvisionalVersion(
        project_id, number, sha256, head.base, head.labels, head.images, made_from, datetime.now(UTC)
    )
    put_version(database, version, file, read)
    _remove_old_files(folder, database, project_id)
    return version


def named_provisional(database: Database, name: str) -> ProvisionalVersion:
    """The one of this name. Raises VersionError where it is not its project's newest, or the project has none now."""
    if version := find_provisional(database, name):
        return version
    raise VersionError(
        f"{name} is no provisional version by now: a project has one at most, its newest, until the first promotion"
    )


def provisional_head(settings: Settings, database: Database, name: str) -> RegionHead:
    """The head of a provisional version, its file as it was stored: the newest of its project, or the one before it.

    Raises VersionError for any other, and WeightsError where the file is not there or has changed.
    """
    match = NAME.fullmatch(name)
    files = kept_files(database, int(match["project"])) if match else []
    file = next((one for one in files if one.startswith(f"{name}-")), None)
    if file is None:
        raise VersionError(f"there is no provisional version {name!r} (any more)")
    path = _folder(settings) / file
    try:
        is_unchanged = _file_name(name, file_sha256(path)) == file
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); {MADE_AGAIN}") from error
    if not is_unchanged:
        raise WeightsError(f"{path} is not what was stored; {MADE_AGAIN}")
    return read_head(path)


def provisional_predictor(settings: Settings, database: Database, name: str, base: Predictor) -> Predictor:
    """The base predictor with the head of a provisional version: milliseconds, as what is loaded is shared.

    Raises what `provisional_head` raises, and VersionError for a version on other base weights.
    """
    head = provisional_head(settings, database, name)
    if head.base != base.version:
        raise VersionError(f"{name} belongs to the base weights {head.base}, and {base.version} serve")
    return with_head(base, head, name)


def with_head(base: Predictor, head: RegionHead, name: str) -> Predictor:
    """The base predictor with a head that was fitted to its detector's vectors, and the thresholds that it has."""
    return base.with_detector(provisional_detector(base.detector, head, name), head.thresholds)


def project_provisional(
    settings: Settings, database: Database, project_id: int, base: Predictor
) -> Predictor | None:
    """What answers for a project without a promotion in the place of the base predictor, None: that itself. Raises
    what `provisional_head` raises.
    """
    version = provisional_version(database, project_id) if settings.prelabel_provisional else None
    if version is None or version.base != base.version:
        return None
    return provisional_predictor(settings, database, version.name, base)


def _folder(settings: Settings) -> Path:
    return settings.model_folder / "provisional"


def _file_name(name: str, sha256: str) -> str:
    return f"{name}-{sha256[:12]}{SUFFIX}"


def _highest_number(folder: Path, project_id: int) -> int:
    """The highest number of a file that any database has put here; 0 where there is none."""
    name = re.compile(rf"p{project_id}-provisional-(\d+)-[0-9a-f]+{re.escape(SUFFIX)}")
    matches = (name.fullmatch(path.name) for path in folder.glob(f"p{project_id}-provisional-*"))
    return max((int(match[1]) for match in matches if match), default=0)


def _remove_old_files(folder: Path, database: Database, project_id: int) -> None:
    """Those that the row names, and no other database's; the row forgets them when they are gone."""
    files = kept_files(database, project_id)
    for file in files[:-KEPT_FILES]:
        (folder / file).unlink(missing_ok=True)
    set_kept_files(database, project_id, files[-KEPT_FILES:])
