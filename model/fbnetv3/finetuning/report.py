"""A fine-tuning with its outcome: trained on a snapshot, judged on its hold-out beside the weights it started from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fbnetv3.config import ConfigError
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.finetuning.run import OnProgress, fine_tune, log_progress
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.finetuning.start import Sources, sources_by_name, spelled_as
from fbnetv3.judging import Judgement, Verdict, decide, judge
from fbnetv3.weights import Checkpoint, write_checkpoint

WEIGHTS = "weights.safetensors"
JUDGEMENT = "judgement.json"


@dataclass(frozen=True)
class Report:
    """`start` is None where the start weights know none of the labels."""

    candidate: Judgement
    start: Judgement | None
    verdict: Verdict
    steps: int
    train_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        judgements = {
            "candidate": self.candidate.as_dict(),
            "start": None if self.start is None else self.start.as_dict(),
        }
        times = {"steps": self.steps, "train_seconds": round(self.train_seconds, 1)}
        return {**judgements, "verdict": asdict(self.verdict), **times}


def train_and_judge(
    start: Checkpoint,
    snapshot: Snapshot,
    folder: Path,
    settings: FineTuningSettings,
    *,
    sources: Sources,
    on_progress: OnProgress = log_progress,
) -> Report:
    """Fine-tune on the snapshot; `folder` gets weights.safetensors and judgement.json besides the records.

    `sources`: for labels that shall not begin as the label of their name. Raises what `fine_tune` raises, and
    ConfigError for sources that name unknown labels.
    """
    labels = snapshot.labels
    _check_sources(sources, labels, start.labels)
    by_name = sources_by_name(labels, start.labels)
    tuned = fine_tune(
        start,
        snapshot.train,
        snapshot.holdout,
        folder,
        settings,
        sources={**by_name, **sources},
        on_progress=on_progress,
    )
    named = spelled_as(labels, start)
    knows_any = not set(labels).isdisjoint(named.labels)
    candidate = _judge(tuned.checkpoint, snapshot, settings)
    serving = _judge(named, snapshot, settings) if knows_any else None
    report = Report(candidate, serving, decide(candidate, serving), tuned.steps, tuned.train_seconds)
    write_checkpoint(tuned.checkpoint, folder / WEIGHTS)
    (folder / JUDGEMENT).write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
    return report


def _judge(weights: Checkpoint, snapshot: Snapshot, settings: FineTuningSettings) -> Judgement:
    detector = Detector.load(weights, engine="torch", device=settings.device, threads=settings.threads)
    return judge(detector, snapshot.holdout)


def _check_sources(sources: Sources, labels: tuple[str, ...], start_labels: tuple[str, ...]) -> None:
    for label, names in sources.items():
        if label not in labels:
            raise ConfigError(f"the data has no label {label!r}; it has {', '.join(labels)}")
        for name in names:
            if name not in start_labels:
                raise ConfigError(f"the weights have no label {name!r}; they have {', '.join(start_labels)}")
