"""The model versions of projects: a row in the store, and files on disk (see `files.py`).

The files appear whole, before the row: what has no row was left by a process that ended in between, or belongs to
another database, and serves nobody here. A candidate that the gate rejected keeps its row, with the figures and the
reason, and no weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from fbnetv3.classification.heads_file import read_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.detector import Detector
from fbnetv3.judging.calibration import IDENTITY, Calibration
from fbnetv3.weights import Checkpoint, WeightsError
from prelabel.errors import PrelabelError
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.version_details import VersionJudgement, VersionPlan
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
from prelabel.versions.detectors import open_detector
from prelabel.versions.files import (
    HEADS,
    WEIGHTS,
    VersionFileError,
    highest_number,
    store_files,
    unchanged_file,
)

__all__ = [
    "Version",
    "VersionError",
    "VersionState",
    "create_version",
    "file_problem",
    "load_version",
    "named_version",
    "project_versions",
    "serving_version",
    "version_calibration",
    "version_checkpoint",
    "version_heads",
    "version_heads_file",
    "version_thresholds",
    "version_weights",
]


class VersionError(PrelabelError):
    """A version that is not there, or cannot be used so: one sentence."""


def create_version(
    settings: Settings,
    database: Database,
    project_id: int,
    checkpoint: Checkpoint,
    *,
    run_id: int | None,
    judgement: VersionJudgement,
    reason: str,
    plan: VersionPlan,
    snapshot_digest: str,
    promoted: bool,
    heads: Sequence[LinearHead] = (),
) -> Version:
    """Store a candidate as the project's next version, which serves nobody yet. The version of `run_id` where that
    run has one already. Numbers of versions on disk are not given again, even where the database does not know them:
    Label Studio may have predictions under that name.

    `promoted`: the gate let it pass; else no weights are kept. `heads`: what answers choices from the features of
    these very weights. Raises WeightsError where files cannot be written; there is no version then.
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
                max(next_number(database, project_id), highest_number(folder, project_id) + 1),
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
                version = store_files(folder, checkpoint, heads, version)
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

    Raises VersionFileError where it is not there or has changed, and VersionError for a rejected candidate.
    """
    if version.sha256 is None:
        raise VersionError(f"{version.name} has no weights, because the gate rejected it: {version.reason}")
    return unchanged_file(_folder(settings), version, WEIGHTS)


def version_heads_file(settings: Settings, version: Version) -> Path | None:
    """The file of the heads that answer choices, its content as it was stored; None for a version without. Raises
    what `version_weights` raises.
    """
    return unchanged_file(_folder(settings), version, HEADS) if version.plan.choices else None


def version_heads(settings: Settings, version: Version) -> tuple[LinearHead, ...]:
    """The heads that answer choices from the features of the version's weights, maybe none. Raises what
    `version_weights` raises.
    """
    file = version_heads_file(settings, version)
    return read_heads(file) if file else ()


def file_problem(settings: Settings, version: Version) -> str | None:
    """What is wrong with the files of a version, None where all is well; a rejected candidate has none."""
    if version.sha256 is None:
        return None
    try:
        version_weights(settings, version)
        version_heads_file(settings, version)
    except VersionFileError as error:
        return error.problem
    return None


def version_calibration(version: Version | None) -> Calibration:
    """What makes confidences of the version's scores; the identity for the base weights, and for older versions."""
    return (version.plan.calibration if version else None) or IDENTITY


def version_thresholds(version: Version | None) -> Mapping[str, float]:
    """From which score on the version's regions are shown, by its labels; empty for the base weights, and for older
    versions.
    """
    return version.plan.thresholds if version else {}


def version_checkpoint(settings: Settings, version: Version) -> Checkpoint:
    """The version's weights, read. Raises what `version_weights` raises."""
    from fbnetv3.weights import load_checkpoint  # needs PyTorch, which a server does without

    return load_checkpoint(version_weights(settings, version))


def load_version(settings: Settings, version: Version) -> Detector:
    """A detector that carries the version's name. Raises what `version_weights` raises, and ConfigError.

    Its input size and proposals are those that it was judged with, whatever the environment says. The first time
    that ONNX Runtime runs these weights takes ten seconds or more.
    """
    return open_detector(settings, version_weights(settings, version), version=version.name)


def _folder(settings: Settings) -> Path:
    return settings.model_folder / "versions"
