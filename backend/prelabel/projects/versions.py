"""The model versions of projects: a row in the store, and the weights on disk.

    models/versions/p3-v7/weights.safetensors    what is served, with labels and network settings in its header
    models/versions/p3-v7/version.json           the row once more, for whoever finds the folder

A folder appears whole, before its row: what has no row was left by a process that ended in between, serves
nobody, and is replaced by the next version of the project. A candidate that the gate rejected keeps its row, with
the figures and the reason, and no weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.weights import Checkpoint, WeightsError
from fbnetv3.weights.digest import file_sha256
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import (
    NewVersion,
    Version,
    VersionState,
    add_version,
    find_version,
    next_number,
    project_versions,
    serving_version,
    version_of_run,
)

__all__ = [
    "Version",
    "VersionError",
    "VersionState",
    "create_version",
    "load_version",
    "named_version",
    "project_versions",
    "serving_version",
    "version_checkpoint",
    "version_weights",
]

WEIGHTS = "weights.safetensors"
RECORD = "version.json"
UNFINISHED = ".making-"


class VersionError(ValueError):
    """A version that is not there, or cannot be used so: one sentence."""


def create_version(
    settings: Settings,
    database: Database,
    project_id: int,
    checkpoint: Checkpoint,
    *,
    run_id: int | None,
    judgement: dict[str, Any],
    reason: str,
    plan: dict[str, Any],
    snapshot_digest: str,
    promoted: bool,
) -> Version:
    """Store a candidate as the project's next version, which serves nobody yet. The version of `run_id` where that
    run has one already.

    `judgement`, `plan`: JSON objects. `promoted`: the gate let it pass; else no weights are kept. Raises
    WeightsError where the weights cannot be written; there is no version then.
    """
    folder = _folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".p{project_id}.lock"):
            known = version_of_run(database, run_id) if run_id is not None else None
            if known:
                return known
            version = NewVersion(
                project_id,
                next_number(database, project_id),
                run_id,
                checkpoint.digest,
                None,
                snapshot_digest,
                checkpoint.labels,
                judgement,
                plan,
                reason,
            )
            if promoted:
                version = replace(version, sha256=_store_files(folder, checkpoint, version))
            return add_version(database, version)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written: {error.strerror or error}") from error


def named_version(database: Database, name: str) -> Version:
    """The version of this name. Raises VersionError."""
    if version := find_version(database, name):
        return version
    raise VersionError(
        f"there is no version {name!r}: `prelabel versions list --project ID` names a project's versions"
    )


def version_weights(settings: Settings, version: Version) -> Path:
    """The file of the version's weights, its content as it was stored.

    Raises WeightsError where it is not there or has changed, and VersionError for a rejected candidate.
    """
    if version.sha256 is None:
        raise VersionError(f"{version.name} has no weights, because the gate rejected it: {version.reason}")
    path = _folder(settings) / version.name / WEIGHTS
    try:
        sha256 = file_sha256(path)
    except OSError as error:
        raise WeightsError(
            f"the weights of {version.name}, {path}, cannot be read: {error.strerror}"
        ) from error
    if sha256 != version.sha256:
        raise WeightsError(f"the weights of {version.name}, {path}, are not those that were stored")
    return path


def version_checkpoint(settings: Settings, version: Version) -> Checkpoint:
    """The version's weights, read. Raises what `version_weights` raises."""
    from fbnetv3.weights import load_checkpoint  # needs PyTorch, which a server does without

    return load_checkpoint(version_weights(settings, version))


def load_version(settings: Settings, version: Version) -> Detector:
    """A detector that carries the version's name. Raises what `version_weights` raises, and ConfigError.

    Its input size and proposals are those that it was trained and judged with, whatever the environment says. The
    first time that ONNX Runtime runs these weights takes ten seconds or more.
    """
    return Detector.load(
        version_weights(settings, version),
        version=version.name,
        engine=settings.prelabel_engine,
        device=settings.device,
        threads=settings.inference_threads,
        max_pixels=settings.prelabel_max_image_pixels,
    )


def _folder(settings: Settings) -> Path:
    return settings.model_folder / "versions"


def _store_files(folder: Path, checkpoint: Checkpoint, version: NewVersion) -> str:
    """Weights and record in a folder that appears whole; the SHA-256 of the weights."""
    from fbnetv3.weights import write_checkpoint

    unfinished = f"{UNFINISHED}p{version.project_id}-"
    for left in folder.glob(f"{unfinished}*"):
        shutil.rmtree(left, ignore_errors=True)
    making = Path(tempfile.mkdtemp(dir=folder, prefix=unfinished))
    try:
        provenance = checkpoint.provenance | {"version": version.name, "snapshot": version.snapshot_digest}
        write_checkpoint(replace(checkpoint, provenance=provenance), making / WEIGHTS)
        sha256 = file_sha256(making / WEIGHTS)
        record = {"name": version.name, **asdict(replace(version, sha256=sha256))}
        write_whole(json.dumps(record, indent=1, ensure_ascii=False).encode(), making / RECORD)
        making.chmod(0o755)  # mkdtemp's folder is for its maker alone
        shutil.rmtree(folder / version.name, ignore_errors=True)
        making.replace(folder / version.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return sha256
