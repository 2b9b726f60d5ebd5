"""Judging what a run learnt: objects by the gate, choices by heads that are fitted here; one verdict of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fbnetv3.classification.heads_file import write_heads
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.judging import Calibration, Verdict, decide, fit_calibration, judge
from fbnetv3.judging.choice_learning import (
    CANDIDATE,
    ChoiceLearning,
    LearntChoices,
    is_promoted,
    learn_choices,
    reason_of,
)
from prelabel.labels.usefulness import effort_of
from prelabel.labelstudio.config.choice_controls import ChoiceControls
from prelabel.labelstudio.config.object_controls import sources
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import find_version
from prelabel.training.training_run import Judged, OnProgress
from prelabel.versions.detectors import open_detector, with_project_labels
from prelabel.versions.loading import project_detector
from prelabel.versions.records import CALIBRATION, version_calibration, version_heads

CANDIDATE_WEIGHTS = "candidate.safetensors"
CANDIDATE_PLAN = "candidate.json"
HEADS = "heads.safetensors"

WEIGHTS = "weights"
"""In a plan: the version whose weights the new one carries, where the run has not trained them itself."""


@dataclass(frozen=True, eq=False)
class _JudgedObjects:
    """The gate's verdict, its two judgements as JSON, and what makes confidences of the two detectors' scores."""

    verdict: Verdict
    candidate: dict[str, Any]
    serving: dict[str, Any] | None
    candidate_calibration: Calibration
    serving_calibration: Calibration | None


class RunJudge:
    """Judges what a run left in its folder against what serves the project, once per process.

    `label_config`: asks for the project's labelling config.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        project_id: int,
        folder: Path,
        label_config: Callable[[], str],
    ) -> None:
        # PyTorch judges: an export for ONNX Runtime takes ten seconds, and a rejected candidate needs none.
        threads = settings.training_threads
        chosen = {"prelabel_engine": "torch", "prelabel_inference_threads": threads}
        self._settings = settings.model_copy(update=chosen)
        self._database = database
        self._project_id = project_id
        self._folder = folder
        self._label_config = label_config

    def judge(self, snapshot: Snapshot, on_progress: OnProgress) -> Judged:
        """The verdict; the heads that belong to it lie in the folder then, if the snapshot has choices.

        Raises ImageError and CocoError for the snapshot's images, WeightsError, LabelStudioError.
        """
        has_candidate = (self._folder / CANDIDATE_WEIGHTS).exists()
        count = _counter(_images_to_look_at(snapshot, has_candidate), on_progress)
        objects = self._judge_objects(snapshot, count) if has_candidate else None
        verdict = objects.verdict if objects else None
        tried = self._learn_choices(snapshot, verdict, count) if snapshot.head_specs else []
        if tried:
            write_heads(tried[-1].heads, self._folder / HEADS)
        promoted = is_promoted(verdict, tried)
        return Judged(promoted, reason_of(verdict, tried), *self._record(objects, tried, promoted))

    def _judge_objects(self, snapshot: Snapshot, count: Callable[[], None]) -> _JudgedObjects:
        threshold = self._settings.model_score_threshold
        theirs = judge(self._candidate(), snapshot.holdout, threshold, count)
        serving = self._serving()
        ours = judge(serving, snapshot.holdout, threshold, count) if serving else None
        verdict = decide(theirs, ours, effort_of(self._settings))
        return _JudgedObjects(
            verdict,
            theirs.as_dict(),
            ours.as_dict() if ours else None,
            fit_calibration(theirs.regions),
            fit_calibration(ours.regions) if ours else None,
        )

    def _learn_choices(
        self, snapshot: Snapshot, objects: Verdict | None, count: Callable[[], None]
    ) -> list[LearntChoices]:
        serving = self._serving_detector
        version = find_version(self._database, serving.version)
        heads = version_heads(self._settings, version) if version else ()
        controls = ChoiceControls.from_config(self._label_config()).active
        thresholds = {control.from_name: control.score_threshold for control in controls}
        learning = ChoiceLearning(snapshot, serving, heads, thresholds, count)
        return learn_choices(learning, objects, self._candidate)

    def _record(
        self, objects: _JudgedObjects | None, tried: Sequence[LearntChoices], promoted: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The judgement and the plan of the version, or of what was turned away."""
        choices = {"choices": tried[-1].judgement} if tried else {}
        weights = tried[-1].weights if tried else CANDIDATE
        if objects and (weights == CANDIDATE or not promoted):
            plan = json.loads((self._folder / CANDIDATE_PLAN).read_text(encoding="utf-8"))
            plan[CALIBRATION] = objects.candidate_calibration.as_dict()
            return {**objects.candidate, "serving": objects.serving, **choices}, plan
        plan = {WEIGHTS: weights, CALIBRATION: self._serving_calibration(objects).as_dict()}
        return {**(objects.serving or {} if objects else {}), **choices}, plan

    def _serving_calibration(self, objects: _JudgedObjects | None) -> Calibration:
        """As judged now, else the one that it has."""
        if objects and objects.serving_calibration:
            return objects.serving_calibration
        return version_calibration(find_version(self._database, self._serving_detector.version))

    def _candidate(self) -> Detector:
        return open_detector(self._settings, self._folder / CANDIDATE_WEIGHTS, version=CANDIDATE)

    @cached_property
    def _serving_detector(self) -> Detector:
        return project_detector(self._settings, self._database, self._project_id)

    def _serving(self) -> Detector | None:
        """What serves the project, its labels under the project's names; None where it knows none of them."""
        detector = self._serving_detector
        known = sources(self._label_config(), detector.labels)
        return with_project_labels(detector, known) if any(known.values()) else None


def _images_to_look_at(snapshot: Snapshot, has_candidate: bool) -> int:
    """About: some have no choices, and a second attempt at these is rare."""
    times = 2 * has_candidate + 2 * bool(snapshot.head_specs)
    return times * len(snapshot.holdout) + bool(snapshot.head_specs) * len(snapshot.train)


def _counter(total: int, on_progress: OnProgress) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_progress(min(done, total), total)

    return count
