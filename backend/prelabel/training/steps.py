"""The steps of a run as they are: labels from Label Studio, fine-tuning, the gate, a version, its promotion.

Objects and choices are learnt one after the other, and judged for one version (see `choice_learning`).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from fbnetv3.classification.heads_file import read_heads
from fbnetv3.config import ConfigError
from fbnetv3.data.snapshot import Snapshot, read_snapshot
from fbnetv3.files import write_whole
from fbnetv3.finetuning import Progress, TrainingError
from fbnetv3.finetuning.cross_fitting import cross_fit
from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint
from prelabel.errors import FORESEEN
from prelabel.folders import project_folder
from prelabel.labels.snapshots import NothingToLearn, build_snapshot
from prelabel.labelstudio.api.client import LabelStudioClient, label_studio_client
from prelabel.labelstudio.config.object_controls import sources
from prelabel.labelstudio.config.project import Project, read_project
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.publish.promotion import promote
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.runs import Run
from prelabel.store.version_details import Provenance, VersionPlan
from prelabel.training.fine_tuning import fine_tuning_settings
from prelabel.training.judging import CANDIDATE_PLAN, CANDIDATE_WEIGHTS, HEADS, RunJudge
from prelabel.training.training_run import CandidateEvaluation, OnProgress, RunFailed
from prelabel.versions.learnt import FOLDS
from prelabel.versions.loading import base_checkpoint, build_fetcher, checkpoint_called
from prelabel.versions.records import create_version, named_version

logger = logging.getLogger(__name__)

LASTING = (LabelConfigError, NothingToLearn, TrainingError, ConfigError)
"""Foreseen errors that another run would meet again: only new labels or a person can mend what is wrong with labels,
labelling config, settings. The others pass: Label Studio was away, images could not be had, a disk was full, a file was
damaged (and is written again), other weights were chosen meanwhile."""


class LearningSteps:
    """See `prelabel.training.training_run.Steps`."""

    def __init__(self, settings: Settings, database: Database, run: Run, folder: Path) -> None:
        self._settings = settings
        self._database = database
        self._run_id = run.id
        self._project_id = run.project_id
        self._folder = folder

    def labelled_tasks(self) -> int:
        """One request to Label Studio."""
        with _foreseen():
            return self._project.labelled_tasks

    def read_labels(self, on_progress: OnProgress) -> str:
        """All labels through Label Studio's API, and the images that are not here yet."""
        with _foreseen():
            built = build_snapshot(
                self._client,
                build_fetcher(self._settings),
                self._project,
                project_folder(self._settings, self._project_id),
                self._settings.prelabel_max_image_pixels,
                on_progress,
            )
        logger.info(
            "snapshot %s: %d labelled tasks, %d images to learn from, %d to judge by",
            built.snapshot.digest,
            built.tasks,
            len(built.snapshot.train),
            len(built.snapshot.holdout),
        )
        return built.snapshot.digest

    def most_objects(self, digest: str) -> int:
        """Read off the snapshot."""
        with _foreseen():
            return _most_objects(self._snapshot(digest))

    def train(self, digest: str, on_progress: OnProgress) -> None:
        """From the base weights, on all labels, and on all but each fold's; nothing where the candidate is there, or
        where choices are all that there is to learn.
        """
        if (self._folder / CANDIDATE_WEIGHTS).exists():
            return

        def note(progress: Progress) -> None:
            logger.info("%s", progress)
            on_progress(progress.step, progress.steps, progress.seconds_left)

        with _foreseen():
            snapshot = self._snapshot(digest)
            if snapshot.head_specs and not _most_objects(snapshot):
                logger.info("no objects to learn, choices only")
                return
            name, start = base_checkpoint(self._settings)
            logger.info("training starts from %s", name)
            fitted = cross_fit(
                start,
                snapshot.everything,
                self._folder,
                fine_tuning_settings(self._settings, self._project_id),
                sources=sources(self._project.label_config, start.labels),
                pictures=snapshot.pictures,
                on_progress=note,
            )
            tuned = fitted.tuned
            provenance = Provenance(name, tuned.steps, fitted.train_seconds)
            plan = VersionPlan(tuned.plan.as_dict(), provenance)
            write_whole(json.dumps(plan.as_dict()).encode(), self._folder / CANDIDATE_PLAN)
            write_checkpoint(tuned.checkpoint, self._folder / CANDIDATE_WEIGHTS)

    def judge(self, digest: str, on_progress: OnProgress) -> CandidateEvaluation:
        """On images that were left out, all of them the same and in the same engine. Choices are learnt here: that
        takes seconds, and needs to know whose features they will be read off.
        """
        with _foreseen():
            judge = RunJudge(
                self._settings,
                self._database,
                self._project_id,
                self._folder,
                lambda: self._project.label_config,
            )
            return judge.judge(self._snapshot(digest), on_progress)

    def make_version(self, digest: str, evaluation: CandidateEvaluation) -> str:
        """The version of this run; made once."""
        with _foreseen():
            heads = self._folder / HEADS
            return create_version(
                self._settings,
                self._database,
                self._project_id,
                self._weights(evaluation.plan.provenance),
                run_id=self._run_id,
                judgement=evaluation.judgement,
                reason=evaluation.reason,
                plan=evaluation.plan,
                snapshot_digest=digest,
                promoted=evaluation.promoted,
                heads=read_heads(heads) if heads.exists() else (),
            ).name

    def _weights(self, provenance: Provenance) -> Checkpoint:
        """The candidate's, or those that its heads were fitted on, whatever serves by now."""
        if provenance.weights is not None:
            return checkpoint_called(self._settings, self._database, provenance.weights)
        return load_checkpoint(self._folder / CANDIDATE_WEIGHTS)

    def promote(self, version: str) -> None:
        """It serves from then on; the worker tells Label Studio again later where it does not answer now."""
        with _foreseen():
            stored = named_version(self._database, version)
            self._drop_older_folds()
            for change in promote(self._settings, self._database, self._client, stored):
                logger.info("%s", change)

    def _drop_older_folds(self) -> None:
        """They judge what a version learnt from, and take as much room as three versions."""
        for fold in self._folder.parent.glob(f"*/{FOLDS}"):
            if fold.parent != self._folder:
                shutil.rmtree(fold, ignore_errors=True)

    @cached_property
    def _client(self) -> LabelStudioClient:
        return label_studio_client(self._settings)

    @cached_property
    def _project(self) -> Project:
        return read_project(self._client, self._project_id)

    def _snapshot(self, digest: str) -> Snapshot:
        folder = project_folder(self._settings, self._project_id)
        return read_snapshot(folder / "snapshots" / f"{digest}.json")


def _most_objects(snapshot: Snapshot) -> int:
    """In one image."""
    return max(
        (len(found) for part in (snapshot.train, snapshot.holdout) for _, found in part.records), default=0
    )


@contextmanager
def _foreseen() -> Iterator[None]:
    try:
        yield
    except LASTING as error:
        raise RunFailed(str(error), is_lasting=True) from error
    except FORESEEN as error:
        raise RunFailed(str(error)) from error
