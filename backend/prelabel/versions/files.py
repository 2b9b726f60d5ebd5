"""The files of versions on disk: each version's in a folder of its own, which is never changed or removed.

    models/versions/p3-v7-1f0c8a66d2e4/weights.safetensors    what is served, with labels and settings in its header
    models/versions/p3-v7-1f0c8a66d2e4/heads.safetensors      where it answers choices
    models/versions/p3-v7-1f0c8a66d2e4/version.json           the row once more, for people who find the folder

Names of versions count from 1 in every database, so the folder's name also has the digest of the files: versions of
two databases cannot collide. Older versions lie in `versions/p3-v7`, where they are read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fbnetv3.classification.heads_file import write_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.files import file_sha256, write_whole
from fbnetv3.weights import Checkpoint, WeightsError
from prelabel.store.version_details import StoredHeads
from prelabel.store.versions import NewVersion

WEIGHTS = "weights.safetensors"
HEADS = "heads.safetensors"
RECORD = "version.json"

UNFINISHED = ".making-"


class VersionFileError(WeightsError):
    """A file of a version is not there, or not as it was stored. `problem`: that, without its remedy."""

    def __init__(self, version: NewVersion, problem: str) -> None:
        self.problem = f"the weights of {version.name}, {problem}"
        rollback = (
            f"`prelabel versions rollback --project {version.project_id} NAME` (`base`: the base weights)"
        )
        super().__init__(f"{self.problem}: put the file back, or have another version serve with {rollback}")


def store_files(
    folder: Path, checkpoint: Checkpoint, heads: Sequence[LinearHead], version: NewVersion
) -> NewVersion:
    """Weights, heads and record in a folder that appears whole; the version with the SHA-256 of the files.

    `folder`: of all versions. To be called with the lock of the project held. Raises OSError and WeightsError.
    """
    unfinished = f"{UNFINISHED}p{version.project_id}-"
    for left in folder.glob(f"{unfinished}*"):
        shutil.rmtree(left, ignore_errors=True)
    making = Path(tempfile.mkdtemp(dir=folder, prefix=unfinished))
    try:
        stored = _write_files(making, checkpoint, heads, version)
        making.chmod(0o755)  # mkdtemp's folder is for its maker alone
        _put_in_place(making, folder / _folder_name(stored), stored)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return stored


def unchanged_file(folder: Path, version: NewVersion, name: str) -> Path:
    """A file of a version, its content as it was stored. `name`: WEIGHTS, or HEADS where it has some. `folder`: of all
    versions. Raises VersionFileError.
    """
    path = _version_folder(folder, version) / name
    try:
        found = file_sha256(path)
    except OSError as error:
        raise VersionFileError(version, f"{path}, cannot be read ({error.strerror})") from error
    if found != _hashes(version)[name]:
        raise VersionFileError(version, f"{path}, are not those that were stored")
    return path


def highest_number(folder: Path, project_id: int) -> int:
    """The highest number of a version of this project that any database has put here; 0 where there is none."""
    name = re.compile(rf"p{project_id}-v(\d+)(-[0-9a-f]+)?")
    matches = (name.fullmatch(path.name) for path in folder.glob(f"p{project_id}-v*"))
    return max((int(match[1]) for match in matches if match), default=0)


def _version_folder(folder: Path, version: NewVersion) -> Path:
    own, older = folder / _folder_name(version), folder / version.name
    return older if older.is_dir() and not own.is_dir() else own


def _folder_name(version: NewVersion) -> str:
    hashes = json.dumps(_hashes(version), sort_keys=True)
    return f"{version.name}-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"


def _hashes(version: NewVersion) -> dict[str, str]:
    """The SHA-256 of each file, as it was stored."""
    hashes = {WEIGHTS: version.sha256 or ""}
    choices = version.plan.choices
    return hashes | {HEADS: choices.sha256} if choices else hashes


def _put_in_place(making: Path, target: Path, version: NewVersion) -> None:
    """Where the very same files are there already, those stay."""
    try:
        making.rename(target)
    except OSError:
        if not target.exists():
            raise
        if any(_sha256(target / name) != sha256 for name, sha256 in _hashes(version).items()):
            raise WeightsError(
                f"{target} is there already and holds other files than {version.name}: move it away and train again"
            ) from None


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def _write_files(
    folder: Path, checkpoint: Checkpoint, heads: Sequence[LinearHead], version: NewVersion
) -> NewVersion:
    from fbnetv3.weights import write_checkpoint  # needs PyTorch, which a server does without

    provenance = checkpoint.provenance | {"version": version.name, "snapshot": version.snapshot_digest}
    write_checkpoint(replace(checkpoint, provenance=provenance), folder / WEIGHTS)
    stored = replace(version, sha256=file_sha256(folder / WEIGHTS))
    if heads:
        write_heads(heads, folder / HEADS)
        classes = {head.spec.name: head.spec.classes for head in heads}
        choices = StoredHeads(classes, file_sha256(folder / HEADS))
        stored = replace(stored, plan=replace(stored.plan, choices=choices))
    record = {"name": stored.name, **stored.as_dict()}
    write_whole(json.dumps(record, indent=1, ensure_ascii=False).encode(), folder / RECORD)
    return stored
