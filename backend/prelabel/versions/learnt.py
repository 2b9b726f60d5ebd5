"""What a version learnt from, and the weights of its run's folds, each of which learnt without some of that."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from fbnetv3.data.snapshot import Snapshot, SnapshotError, read_snapshot
from fbnetv3.folds import FOLD
from fbnetv3.weights import Checkpoint
from prelabel.folders import project_folder, run_folder
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.runs import get_run
from prelabel.store.versions import Version

logger = logging.getLogger(__name__)

FOLDS = f"{FOLD}*"
"""The folders of a run's folds."""


@dataclass(frozen=True)
class LearntFrom:
    """`keys`: of the labelled images, see `Snapshot.keys`; `pictures`: the SHA-256 of their files."""

    keys: frozenset[str]
    pictures: frozenset[str]


@dataclass(frozen=True, eq=False)
class FoldWeights:
    """Weights, and the SHA-256 of the pictures that they have not learnt from."""

    checkpoint: Checkpoint
    left_out: frozenset[str]


def learnt_from(settings: Settings, version: Version) -> LearntFrom | None:
    """None where the version's snapshot is gone. Versions of older releases, which tell no keys of what they were
    judged on, kept a fifth of it to judge by.
    """
    snapshot = _snapshot(settings, version)
    if snapshot is None:
        return None
    judged = version.judgement.objects
    kept_a_fifth = judged is not None and judged.images > 0 and not judged.keys
    count = len(snapshot.train if kept_a_fifth else snapshot.everything)
    return LearntFrom(frozenset(snapshot.keys[:count]), frozenset(snapshot.pictures[:count]))


def folds_of_version(settings: Settings, database: Database, version: Version) -> Iterator[FoldWeights]:
    """Those that are kept: of the project's newest version that a run made. None of a version with the weights of
    another one and heads of its own: its run's folds are those of weights that were turned away. Raises WeightsError
    for a broken file.
    """
    from fbnetv3.finetuning.cross_fitting import kept_folds  # needs PyTorch

    is_own = version.run_id is not None and version.plan.provenance.weights is None
    snapshot = _snapshot(settings, version) if is_own else None
    if snapshot is None or version.run_id is None:
        return
    for fold in kept_folds(run_folder(settings, get_run(database, version.run_id))):
        yield FoldWeights(fold.checkpoint, frozenset(snapshot.pictures[place] for place in fold.places))


def _snapshot(settings: Settings, version: Version) -> Snapshot | None:
    folder = project_folder(settings, version.project_id) / "snapshots"
    try:
        return read_snapshot(folder / f"{version.snapshot_digest}.json")
    except SnapshotError as error:
        logger.info("what %s learnt from is not known any more: %s", version.name, error)
        return None
