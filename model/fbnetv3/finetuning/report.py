"""A training run with its outcome: trained on a snapshot, and judged beside the weights that it started from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fbnetv3.config import ConfigError
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.finetuning.cross_fitting import cross_fit
from fbnetv3.finetuning.evidence import left_out_findings
from fbnetv3.finetuning.run import FineTuned, OnProgress, fine_tune, log_progress
from fbnetv3.finetuning.served_size import served_as_planned, with_served_size
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.finetuning.start import Sources, sources_by_name, spelled_as
from fbnetv3.judging import Comparison, Effort, ImageFindings, Served, compare, findings_by_key
from fbnetv3.judging.carried import carrying
from fbnetv3.judging.operating_point import thresholds_of
from fbnetv3.weights import Checkpoint, write_checkpoint

WEIGHTS = "weights.safetensors"
JUDGEMENT = "judgement.json"


@dataclass(frozen=True)
class Report:
    """`comparison`: with the start weights in the place of what serves."""

    comparison: Comparison
    steps: int
    train_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        start = self.comparison.serving
        return {
            "candidate": self.comparison.candidate.as_dict(),
            "start": None if start is None else start.as_dict(),
            "verdict": asdict(self.comparison.decision),
            "calibration": self.comparison.candidate_calibration.as_dict(),
            "thresholds": dict(self.comparison.candidate_thresholds),
            "steps": self.steps,
            "train_seconds": round(self.train_seconds, 1),
        }


def train_and_judge(
    start: Checkpoint,
    snapshot: Snapshot,
    folder: Path,
    settings: FineTuningSettings,
    *,
    sources: Sources,
    effort: Effort,
    score_threshold: float,
    on_progress: OnProgress = log_progress,
) -> Report:
    """Train on the snapshot: on all of it by cross-fitting, which also judges; on its training images alone where a
    person set the others apart, which judge then.

    `folder` gets weights.safetensors, which carries its calibration and its operating
    point, and judgement.json besides the records. A start that carries an operating point is judged at that.

    `sources`: for labels that shall not begin as the label of their name. `effort`, `score_threshold`: see `compare`.
    Raises what `fine_tune` raises, and ConfigError for sources that name unknown labels.
    """
    labels = snapshot.labels
    _check_sources(sources, labels, start.labels)
    sources = {**sources_by_name(labels, start.labels), **sources}
    learning = _Learning(start, snapshot, folder, settings, sources, on_progress)
    learnt = learning.from_training_images() if snapshot.is_set_apart else learning.from_everything()
    comparison = compare(
        learnt.findings,
        learning.served(learnt.findings),
        labels,
        effort=effort,
        score_threshold=score_threshold,
    )
    report = Report(comparison, learnt.tuned.steps, learnt.train_seconds)
    candidate = learnt.tuned.checkpoint
    judged = carrying(candidate, comparison.candidate_calibration, comparison.candidate_thresholds)
    write_checkpoint(judged, folder / WEIGHTS)
    (folder / JUDGEMENT).write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
    return report


@dataclass(frozen=True, eq=False)
class _Learnt:
    """`findings`: by the image's key, in images that were not learnt from."""

    tuned: FineTuned
    findings: dict[str, ImageFindings]
    train_seconds: float


@dataclass(frozen=True, eq=False)
class _Learning:
    """One training run; `sources`: of every label."""

    start: Checkpoint
    snapshot: Snapshot
    folder: Path
    settings: FineTuningSettings
    sources: Sources
    on_progress: OnProgress

    def from_everything(self) -> _Learnt:
        snapshot = self.snapshot
        fitted = cross_fit(
            self.start,
            snapshot.everything,
            self.folder,
            self.settings,
            sources=self.sources,
            pictures=snapshot.pictures,
            on_progress=self.on_progress,
        )
        findings = left_out_findings(fitted.folds, snapshot.everything, snapshot.keys, self._detector)
        return _Learnt(fitted.tuned, findings, fitted.train_seconds)

    def from_training_images(self) -> _Learnt:
        snapshot = self.snapshot
        tuned = fine_tune(
            self.start,
            snapshot.train,
            snapshot.holdout,
            self.folder,
            self.settings,
            sources=self.sources,
            on_progress=self.on_progress,
        )
        set_apart = range(len(snapshot.train), len(snapshot.everything))
        plan = with_served_size(
            tuned.plan, [(tuned.checkpoint, set_apart)], snapshot.everything, self.settings
        )
        tuned = served_as_planned(tuned, plan, self.folder)
        return _Learnt(tuned, self._findings(tuned.checkpoint, set_apart), tuned.train_seconds)

    def served(self, candidate: Mapping[str, ImageFindings]) -> Served | None:
        """The start weights on the images that judge the candidate; None where they know none of the labels."""
        spelled = spelled_as(self.snapshot.labels, self.start)
        if set(spelled.labels).isdisjoint(self.snapshot.labels):
            return None
        places = [place for place, key in enumerate(self.snapshot.keys) if key in candidate]
        return Served(self._findings(spelled, places), thresholds=_thresholds(self.start, spelled))

    def _findings(self, weights: Checkpoint, places: Sequence[int]) -> dict[str, ImageFindings]:
        snapshot = self.snapshot
        return findings_by_key([(self._detector(weights), places)], snapshot.everything, snapshot.keys)

    def _detector(self, weights: Checkpoint) -> Detector:
        settings = self.settings
        return Detector.load(weights, engine="torch", device=settings.device, threads=settings.threads)


def _thresholds(start: Checkpoint, spelled: Checkpoint) -> dict[str, float] | None:
    """The operating point of the start, its labels in the spelling of the data."""
    carried = thresholds_of(start.provenance)
    spelling = dict(zip(start.labels, spelled.labels, strict=True))
    return carried and {spelling.get(label, label): threshold for label, threshold in carried.items()}


def _check_sources(sources: Sources, labels: tuple[str, ...], start_labels: tuple[str, ...]) -> None:
    for label, names in sources.items():
        if label not in labels:
            raise ConfigError(f"the data has no label {label!r}; it has {', '.join(labels)}")
        for name in names:
            if name not in start_labels:
                raise ConfigError(f"the weights have no label {name!r}; they have {', '.join(start_labels)}")
