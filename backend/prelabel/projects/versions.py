"""The model versions of projects: a row in the store, and the weights on disk.

    models/versions/p3-v7/weights.safetensors    what is served, with labels and network settings in its header
    models/versions/p3-v7/heads.safetensors      where it answers choices: linear heads on these weights' features
    models/versions/p3-v7/version.json           the row once more, for whoever finds the folder

A folder appears whole, before its row: what has no row was left by a process that ended in between, serves
nobody, and is replaced by the next version of the project. A candidate that the gate rejected keeps its row, with
the figures and the reason, and no weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from fbnetv3.classification.heads_file import read_heads, write_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.judging.calibration import IDENTITY, Calibration
from fbnetv3.weights import Checkpoint, WeightsError
from fbnetv3.weights.digest import file_sha256
from prelabel.projects.detectors import open_detector
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
    "version_calibration",
    "version_checkpoint",
    "version_heads",
    "version_heads_file",
    "version_weights",
]

WEIGHTS = "weights.safetensors"
HEADS = "heads.safetensors"
RECORD = "version.json"

CHOICES = "choices"
"""In a version's plan: {"heads": {control: its classes}, "sha256": of the file of the heads}; absent without heads."""

CALIBRATION = "calibration"
"""In a version's plan: what makes confidences of its scores, see fbnetv3.judging.calibration; absent in older ones."""

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
    heads: Sequence[LinearHead] = (),
) -> Version:
    """Store a candidate as the project's next version, which serves nobody yet. The version of `run_id` where that
    run has one already.

    `judgement`, `plan`: JSON objects. `promoted`: the gate let it pass; else no weights are kept. `heads`: what answers
    choices from the features of these very weights. Raises WeightsError where files cannot be written; there is no
    version then.
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
                version = _store_files(folder, checkpoint, heads, version)
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
    return _unchanged(settings, version, WEIGHTS, version.sha256)


def version_heads_file(settings: Settings, version: Version) -> Path | None:
    """The file of the heads that answer choices, its content as it was stored; None for a version without. Raises
    what `version_weights` raises.
    """
    stored = version.plan.get(CHOICES)
    return _unchanged(settings, version, HEADS, stored["sha256"]) if stored else None


def version_heads(settings: Settings, version: Version) -> tuple[LinearHead, ...]:
    """The heads that answer choices from the features of the version's weights, maybe none. Raises what
    `version_weights` raises.
    """
    file = version_heads_file(settings, version)
    return read_heads(file) if file else ()


def version_calibration(version: Version | None) -> Calibration:
    """What makes confidences of the version's scores; the identity for the base weights, and for older versions."""
    stored = version.plan.get(CALIBRATION) if version else None
    return Calibration.from_dict(stored) if stored else IDENTITY


def version_checkpoint(settings: Settings, version: Version) -> Checkpoint:
    """The version's weights, read. Raises what `version_weights` raises."""
    from fbnetv3.weights import load_checkpoint  # needs PyTorch, which a server does without

    return load_checkpoint(version_weights(settings, version))


def load_version(settings: Settings, version: Version) -> Detector:
    """A detector that carries the version's name. Raises what `version_weights` raises, and ConfigError.

    Its input size and proposals are those that it was trained and judged with, whatever the environment says. The
    first time that ONNX Runtime runs these weights takes ten seconds or more.
    """
    return open_detector(settings, version_weights(settings, version), version=version.name)


def _folder(settings: Settings) -> Path:
    return settings.model_folder / "versions"


def _unchanged(settings: Settings, version: Version, name: str, sha256: str) -> Path:
    path = _folder(settings) / version.name / name
    try:
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(
            f"the weights of {version.name}, {path}, cannot be read: {error.strerror}"
        ) from error
    if found != sha256:
        raise WeightsError(f"the weights of {version.name}, {path}, are not those that were stored")
    return path


def _store_files(
    folder: Path, checkpoint: Checkpoint, heads: Sequence[LinearHead], version: NewVersion
) -> NewVersion:
    """Weights, heads and record in a folder that appears whole; the version with the SHA-256 of the files."""
    unfinished = f"{UNFINISHED}p{version.project_id}-"
    for left in folder.glob(f"{unfinished}*"):
        shutil.rmtree(left, ignore_errors=True)
    making = Path(tempfile.mkdtemp(dir=folder, prefix=unfinished))
    try:
        stored = _write_files(making, checkpoint, heads, version)
        making.chmod(0o755)  # mkdtemp's folder is for its maker alone
        shutil.rmtree(folder / version.name, ignore_errors=True)
        making.replace(folder / version.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return stored


def _write_files(
    folder: Path, checkpoint: Checkpoint, heads: Sequence[LinearHead], version: NewVersion
) -> NewVersion:
    from fbnetv3.weights import write_checkpoint  # needs PyTorch, which a server does without

    provenance = checkpoint.provenance | {"version": version.name, "snapshot": version.snapshot_digest}
    write_checkpoint(replace(checkpoint, provenance=provenance), folder / WEIGHTS)
    stored = replace(version, sha256=file_sha256(folder / WEIGHTS))
    if heads:
        write_heads(heads, folder / HEADS)
        classes = {head.spec.name: list(head.spec.classes) for head in heads}
        choices = {"heads": classes, "sha256": file_sha256(folder / HEADS)}
        stored = replace(stored, plan=stored.plan | {CHOICES: choices})
    record = {"name": stored.name, **asdict(stored)}
    write_whole(json.dumps(record, indent=1, ensure_ascii=False).encode(), folder / RECORD)
    return stored
