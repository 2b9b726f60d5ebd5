"""Judging what a run learnt: objects by the gate, choices by heads that are fitted here; one decision on both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from fbnetv3.classification.heads_file import write_heads
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.judging import Calibration, Comparison, GateDecision, compare
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
from prelabel.store.version_details import Provenance, VersionJudgement, VersionPlan
from prelabel.store.versions import find_version
from prelabel.training.training_run import CandidateEvaluation, OnProgress
from prelabel.versions.detectors import open_detector, with_project_labels
from prelabel.versions.loading import base_thresholds, project_detector
from prelabel.versions.records import version_calibration, version_heads, version_thresholds

CANDIDATE_WEIGHTS = "candidate.safetensors"
CANDIDATE_PLAN = "candidate.json"
HEADS = "heads.safetensors"


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

    def judge(self, snapshot: Snapshot, on_progress: OnProgress) -> CandidateEvaluation:
        """The decision with its figures; the heads that belong to it lie in the folder then, if the snapshot has
        choices.

        Raises ImageError and CocoError for the snapshot's images, WeightsError, LabelStudioError.
        """
        has_candidate = (self._folder / CANDIDATE_WEIGHTS).exists()
        count = _counter(_images_to_look_at(snapshot, has_candidate), on_progress)
        objects = self._compare_objects(snapshot, count) if has_candidate else None
        decision = objects.decision if objects else None
        tried = self._learn_choices(snapshot, decision, count) if snapshot.head_specs else []
        if tried:
            write_heads(tried[-1].heads, self._folder / HEADS)
        return self._evaluation(objects, tried, is_promoted(decision, tried), reason_of(decision, tried))

    def _compare_objects(self, snapshot: Snapshot, count: Callable[[], None]) -> Comparison:
        return compare(
            self._candidate(),
            self._serving(),
            snapshot.holdout,
            effort=effort_of(self._settings),
            score_threshold=self._settings.model_score_threshold,
            serving_thresholds=self._serving_thresholds_by_project_label(),
            on_image=count,
        )

    def _learn_choices(
        self, snapshot: Snapshot, objects: GateDecision | None, count: Callable[[], None]
    ) -> list[LearntChoices]:
        serving = self._serving_detector
        version = find_version(self._database, serving.version)
        heads = version_heads(self._settings, version) if version else ()
        controls = ChoiceControls.from_config(self._label_config()).active
        thresholds = {control.from_name: control.score_threshold for control in controls}
        learning = ChoiceLearning(snapshot, serving, heads, thresholds, count)
        return learn_choices(learning, objects, self._candidate)

    def _evaluation(
        self, objects: Comparison | None, tried: Sequence[LearntChoices], promoted: bool, reason: str
    ) -> CandidateEvaluation:
        """Of the weights that the version carries, or of what was turned away: the candidate, else what serves."""
        weights = tried[-1].weights if tried else CANDIDATE
        if objects and (weights == CANDIDATE or not promoted):
            judgement = VersionJudgement(objects.candidate, objects.serving)
            plan = replace(
                self._candidate_plan(),
                calibration=objects.candidate_calibration,
                thresholds=objects.candidate_thresholds,
            )
        else:
            judgement = VersionJudgement(objects.serving if objects else None)
            plan = VersionPlan(
                provenance=Provenance(weights=weights),
                calibration=self._serving_calibration(objects),
                thresholds=self._serving_thresholds,
            )
        if tried:
            judgement = replace(judgement, choices=tried[-1].judgement, serving_choices=tried[-1].serving)
        return CandidateEvaluation(promoted, reason, judgement, plan)

    def _candidate_plan(self) -> VersionPlan:
        return VersionPlan.from_dict(json.loads((self._folder / CANDIDATE_PLAN).read_text(encoding="utf-8")))

    def _serving_calibration(self, objects: Comparison | None) -> Calibration:
        """As judged now, else the one that it has."""
        if objects and objects.serving_calibration:
            return objects.serving_calibration
        return version_calibration(find_version(self._database, self._serving_detector.version))

    @cached_property
    def _serving_thresholds(self) -> Mapping[str, float]:
        """The operating point that what serves carries, by its own labels; empty where it has none."""
        version = find_version(self._database, self._serving_detector.version)
        return version_thresholds(version) if version else base_thresholds(self._settings)

    def _serving_thresholds_by_project_label(self) -> dict[str, float] | None:
        """Where several labels of what serves are one of the project, the lowest of theirs; None without any."""
        own, default = self._serving_thresholds, self._settings.model_score_threshold
        known = sources(self._label_config(), self._serving_detector.labels)
        return (
            {label: min(own.get(name, default) for name in names) for label, names in known.items() if names}
            if own
            else None
        )

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
