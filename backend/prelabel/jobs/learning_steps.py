"""The steps of a run as they are: labels from Label Studio, fine-tuning, the gate, a version, its promotion."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from fbnetv3.config import ConfigError
from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.finetuning import FineTuningSettings, Progress, TrainingError, fine_tune
from fbnetv3.images import ImageError
from fbnetv3.judging import Judgement, decide, judge
from fbnetv3.learning.coco import CocoError
from fbnetv3.learning.snapshot import Snapshot, SnapshotError, read_snapshot
from fbnetv3.weights import WeightsError, load_checkpoint, write_checkpoint
from prelabel.jobs.folders import project_folder
from prelabel.jobs.reconcile import labelled_tasks
from prelabel.jobs.training_run import Judged, OnProgress, RunFailed
from prelabel.labelstudio.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelConfigError, LabelStudioError
from prelabel.labelstudio.object_controls import sources
from prelabel.projects.loading import (
    build_fetcher,
    label_studio_client,
    project_checkpoint,
    project_detector,
)
from prelabel.projects.promotion import promote
from prelabel.projects.snapshots import build_snapshot
from prelabel.projects.usefulness import effort_of
from prelabel.projects.versions import VersionError, create_version, named_version
from prelabel.settings import Settings
from prelabel.store.database import Database, StoreError
from prelabel.store.runs import Run

logger = logging.getLogger(__name__)

FORESEEN = (
    TrainingError,
    SnapshotError,
    CocoError,
    ImageError,
    LabelStudioError,
    LabelConfigError,
    WeightsError,
    ConfigError,
    VersionError,
    StoreError,
)
"""Errors whose messages are worded for people."""

CANDIDATE = "candidate.safetensors"
CANDIDATE_PLAN = "candidate.json"

FEATURES = "features"
"""The folder, shared by the runs of a project, with what the frozen stages made of its images."""


class LearningSteps:
    """See `prelabel.jobs.training_run.Steps`."""

    def __init__(self, settings: Settings, database: Database, run: Run, folder: Path) -> None:
        # PyTorch judges: an export for ONNX Runtime takes ten seconds, and a rejected candidate needs none.
        threads = settings.training_threads
        chosen = {"prelabel_engine": "torch", "prelabel_inference_threads": threads}
        self._judging_settings = settings.model_copy(update=chosen)
        self._settings = settings
        self._database = database
        self._run_id = run.id
        self._project_id = run.project_id
        self._folder = folder

    def labelled_tasks(self) -> int:
        """One request to Label Studio."""
        with _foreseen():
            return labelled_tasks(self._client, self._project_id)

    def read_labels(self, on_progress: OnProgress) -> str:
        """All labels through Label Studio's API, and the images that are not here yet."""
        with _foreseen():
            built = build_snapshot(
                self._client,
                build_fetcher(self._settings),
                self._project_id,
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

    def train(self, digest: str, on_progress: OnProgress) -> None:
        """From what serves the project, or from the base weights; nothing where the candidate is there."""
        if (self._folder / CANDIDATE).exists():
            return

        def note(progress: Progress) -> None:
            logger.info("%s", progress)
            on_progress(progress.step, progress.steps, progress.seconds_left)

        with _foreseen():
            name, start = project_checkpoint(self._settings, self._database, self._project_id)
            logger.info("training starts from %s", name)
            snapshot = self._snapshot(digest)
            tuned = fine_tune(
                start,
                snapshot.train,
                snapshot.holdout,
                self._folder,
                fine_tuning_settings(self._settings, self._project_id),
                sources=sources(self._label_config, start.labels),
                on_progress=note,
            )
            plan = tuned.plan.as_dict() | {
                "start": name,
                "steps_taken": tuned.steps,
                "train_seconds": tuned.train_seconds,
            }
            write_whole(json.dumps(plan).encode(), self._folder / CANDIDATE_PLAN)
            write_checkpoint(tuned.checkpoint, self._folder / CANDIDATE)

    def judge(self, digest: str, on_progress: OnProgress) -> Judged:
        """On the hold-out, both on the same images and in the same engine."""
        with _foreseen():
            holdout = self._snapshot(digest).holdout
            total = 2 * len(holdout)
            count = _counter(total, on_progress)
            threshold = self._settings.model_score_threshold
            theirs = judge(self._candidate(), holdout, threshold, count)
            serving = self._serving()
            ours = judge(serving, holdout, threshold, count) if serving else None
            verdict = decide(theirs, ours, effort_of(self._settings))
        plan = json.loads((self._folder / CANDIDATE_PLAN).read_text(encoding="utf-8"))
        return Judged(verdict.promoted, verdict.reason, _as_json(theirs, ours), plan)

    def make_version(self, digest: str, judged: Judged) -> str:
        """The version of this run; made once."""
        with _foreseen():
            return create_version(
                self._settings,
                self._database,
                self._project_id,
                load_checkpoint(self._folder / CANDIDATE),
                run_id=self._run_id,
                judgement=judged.judgement,
                reason=judged.reason,
                plan=judged.plan,
                snapshot_digest=digest,
                promoted=judged.promoted,
            ).name

    def promote(self, version: str) -> list[str]:
        """It serves from then on; the worker tells Label Studio again later where it does not answer now."""
        with _foreseen():
            stored = named_version(self._database, version)
            for change in promote(self._settings, self._database, self._client, stored):
                logger.info("%s", change)
        return []

    @cached_property
    def _client(self) -> LabelStudioClient:
        return label_studio_client(self._settings)

    @cached_property
    def _label_config(self) -> str:
        return str(self._client.project(self._project_id)["label_config"])

    def _snapshot(self, digest: str) -> Snapshot:
        folder = project_folder(self._settings, self._project_id)
        return read_snapshot(folder / "snapshots" / f"{digest}.json")

    def _candidate(self) -> Detector:
        return Detector.load(
            self._folder / CANDIDATE,
            version="candidate",
            engine=self._judging_settings.prelabel_engine,
            device=self._settings.device,
            threads=self._judging_settings.inference_threads,
            max_pixels=self._settings.prelabel_max_image_pixels,
        )

    def _serving(self) -> Detector | None:
        """What serves the project, its labels under the project's names; None where it knows none of them."""
        detector = project_detector(self._judging_settings, self._database, self._project_id)
        shown = {theirs: ours for ours, some in self._sources(detector).items() for theirs in some}
        if not shown:
            return None
        labels = [shown.get(label, label) for label in detector.labels]
        return Detector(detector.engine, labels, detector.version, detector.max_pixels)

    def _sources(self, detector: Detector) -> dict[str, list[str]]:
        return sources(self._label_config, detector.labels)


def fine_tuning_settings(settings: Settings, project_id: int) -> FineTuningSettings:
    """What the settings decide of a project's fine-tuning; the data decides the rest."""
    devices = settings.prelabel_training_devices
    return FineTuningSettings(
        frozen_stages=settings.prelabel_frozen_stages,
        epochs=settings.prelabel_train_epochs,
        learning_rate=settings.prelabel_learning_rate,
        batch_size=settings.prelabel_train_batch_size,
        min_size=settings.prelabel_train_min_size,
        max_size=settings.prelabel_train_max_size,
        anchor_sizes=settings.prelabel_anchor_sizes,
        flip=settings.prelabel_flip,
        norm=settings.prelabel_norm,
        cache_bytes=settings.prelabel_feature_cache_bytes,
        cache=str(project_folder(settings, project_id) / FEATURES),
        device=settings.device,
        devices=devices,
        threads=max(settings.training_threads // devices, 1),
    )


def _as_json(candidate: Judgement, serving: Judgement | None) -> dict[str, Any]:
    return {**candidate.as_dict(), "serving": serving.as_dict() if serving else None}


def _counter(total: int, on_progress: OnProgress) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    return count


@contextmanager
def _foreseen() -> Iterator[None]:
    try:
        yield
    except FORESEEN as error:
        raise RunFailed(str(error)) from error
