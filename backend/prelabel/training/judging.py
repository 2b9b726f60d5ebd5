"""Judging what a run learnt: objects by the gate, choices by heads that are fitted here; one decision on both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fbnetv3.classification.heads_file import write_heads
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.finetuning.cross_fitting import LeftOut, kept_folds
from fbnetv3.finetuning.evidence import left_out_findings
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
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.version_details import Provenance, VersionJudgement, VersionPlan
from prelabel.store.versions import find_version
from prelabel.training.served import WhatServes
from prelabel.training.training_run import CandidateEvaluation, OnProgress
from prelabel.versions.detectors import open_detector
from prelabel.versions.records import version_calibration, version_heads

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
        self._served = WhatServes(self._settings, database, project_id, label_config)

    def judge(self, snapshot: Snapshot, on_progress: OnProgress) -> CandidateEvaluation:
        """The decision with its figures; the heads that belong to it lie in the folder then, if the snapshot has
        choices.

        Raises ImageError and CocoError for the snapshot's images, WeightsError, LabelStudioError.
        """
        has_candidate = (self._folder / CANDIDATE_WEIGHTS).exists()
        folds = kept_folds(self._folder) if has_candidate else ()
        count = _counter(_images_to_look_at(snapshot, folds), on_progress)
        objects = self._compare_objects(snapshot, folds, count) if has_candidate else None
        decision = objects.decision if objects else None
        tried = self._learn_choices(snapshot, decision, count) if snapshot.head_specs else []
        if tried:
            write_heads(tried[-1].heads, self._folder / HEADS)
        return self._evaluation(objects, tried, is_promoted(decision, tried), reason_of(decision, tried))

    def _compare_objects(
        self, snapshot: Snapshot, folds: Sequence[LeftOut], count: Callable[[], None]
    ) -> Comparison:
        images, keys = snapshot.everything, snapshot.keys
        opened = partial(open_detector, self._settings)
        candidate = left_out_findings(folds, images, keys, opened, count)
        return compare(
            candidate,
            self._served.on(snapshot, candidate, count),
            snapshot.labels,
            effort=effort_of(self._settings),
            score_threshold=self._settings.model_score_threshold,
        )

    def _learn_choices(
        self, snapshot: Snapshot, objects: GateDecision | None, count: Callable[[], None]
    ) -> list[LearntChoices]:
        serving = self._served.detector
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
                thresholds=self._served.thresholds,
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
        return version_calibration(find_version(self._database, self._served.detector.version))

    def _candidate(self) -> Detector:
        return open_detector(self._settings, self._folder / CANDIDATE_WEIGHTS, version=CANDIDATE)


def _images_to_look_at(snapshot: Snapshot, folds: Sequence[LeftOut]) -> int:
    """About: some are known already, some have no choices, and a second attempt at these is rare."""
    choices = (2 * len(snapshot.holdout) + len(snapshot.train)) * bool(snapshot.head_specs)
    return 2 * sum(len(fold.places) for fold in folds) + choices


def _counter(total: int, on_progress: OnProgress) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_progress(min(done, total), total)

    return count
