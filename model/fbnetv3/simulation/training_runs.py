"""The training runs of a simulation: train on all labels, judge, ask the gate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuningSettings, Progress, TrainingError
from fbnetv3.finetuning.cross_fitting import CrossFitted
from fbnetv3.finetuning.evidence import left_out_findings
from fbnetv3.finetuning.start import Sources
from fbnetv3.judging import IDENTITY, Calibration, GateDecision, Judgement, compare
from fbnetv3.simulation.replay_data import ImageId, ReplayData
from fbnetv3.simulation.serving import Serving
from fbnetv3.simulation.settings import SimulationSettings
from fbnetv3.simulation.storage import Storage
from fbnetv3.weights import Checkpoint


class Trainer(Protocol):
    """`cross_fit`, or what stands in for it."""

    def __call__(
        self,
        start: Checkpoint,
        images: Examples,
        folder: Path,
        settings: FineTuningSettings,
        *,
        sources: Sources,
        pictures: Sequence[Hashable],
        on_progress: Callable[[Progress], None],
    ) -> CrossFitted: ...


@dataclass(frozen=True)
class Attempt:
    """A training run and what the gate decided; without `candidate` there is no more to it."""

    decision: GateDecision
    seconds: float = 0.0
    candidate: Checkpoint | None = None
    judgement: Judgement | None = None
    calibration: Calibration = IDENTITY


@dataclass(frozen=True)
class TrainingRuns:
    """Each from the weights `start`; `sources`: see `cross_fit`."""

    data: ReplayData
    start: Checkpoint
    sources: Sources
    settings: SimulationSettings
    storage: Storage
    trainer: Trainer
    open_detector: Callable[[Checkpoint], Detector]

    def attempt(
        self, seed: int, labelled: Sequence[ImageId], serving: Serving, on_step: Callable[[str], None]
    ) -> Attempt:
        """Train on the labelled images, and compare with what serves."""
        images, keys, settings = self.data.of(labelled), [str(id_) for id_ in labelled], self.settings
        try:
            fitted = self.trainer(
                self.start,
                images,
                self.storage.training(seed, len(labelled)),
                self._fine_tuning(seed),
                sources=self.sources,
                pictures=keys,
                on_progress=lambda progress: on_step(str(progress)),
            )
        except TrainingError as error:
            return Attempt(GateDecision(False, f"Training failed: {error}."))
        on_step("judging")
        candidate = left_out_findings(fitted.folds, images, keys, self.open_detector)
        compared = compare(
            candidate,
            serving.served(images, keys, candidate, self.open_detector) if settings.gated else None,
            images.labels,
            effort=settings.effort,
            score_threshold=settings.score_threshold,
        )
        return Attempt(
            compared.decision if settings.gated else _ungated(compared.candidate),
            fitted.train_seconds,
            fitted.tuned.checkpoint,
            compared.candidate,
            compared.candidate_calibration,
        )

    def _fine_tuning(self, seed: int) -> FineTuningSettings:
        settings = self.settings.training
        return replace(settings, seed=seed, cache=settings.cache or str(self.storage.features))


def _ungated(candidate: Judgement) -> GateDecision:
    return GateDecision(True, f"Promoted without the gate: AP50 {candidate.box_AP50:.3f}.")
