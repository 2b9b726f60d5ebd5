"""The loop of a simulation, the product's own step by step: pre-label, accept, train, judge, promote or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from fbnetv3.data.examples import Examples
from fbnetv3.data.snapshot import is_held_out
from fbnetv3.detector import Detector, Threshold
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress, TrainingError
from fbnetv3.judging import (
    IDENTITY,
    Calibration,
    GateDecision,
    Judgement,
    compare,
    judge,
    outcomes_of,
    seconds_with,
    seconds_without,
)
from fbnetv3.simulation.orders import ORDERS, Queue
from fbnetv3.simulation.replay_data import ImageId, ReplayData
from fbnetv3.simulation.round_results import Figures, RoundResult, StartResult
from fbnetv3.simulation.settings import SimulationSettings
from fbnetv3.simulation.storage import Storage
from fbnetv3.weights import Checkpoint


class Trainer(Protocol):
    """`fine_tune`, or what stands in for it."""

    def __call__(
        self,
        start: Checkpoint,
        train: Examples,
        holdout: Examples,
        folder: Path,
        settings: FineTuningSettings,
        *,
        on_progress: Callable[[Progress], None],
    ) -> FineTuned: ...


@dataclass(frozen=True)
class _Attempt:
    """A fine-tuning and what the gate decided; `figures`, `calibration` and `thresholds` are those of a promoted
    candidate."""

    decision: GateDecision
    seconds: float = 0.0
    candidate: Checkpoint | None = None
    figures: Figures | None = None
    calibration: Calibration = IDENTITY
    thresholds: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Replay:
    """A simulation on `data`, from the weights `start`, in `folder`.

    `twins`: folders of simulations that differ in the order alone; a first round that labelled the same images is
    taken over from them. `on_round` hears each result, those of an earlier call too; `on_step` hears what is going on.
    """

    data: ReplayData
    start: Checkpoint
    settings: SimulationSettings
    folder: Path
    trainer: Trainer
    on_round: Callable[[RoundResult], None] = lambda result: None
    on_step: Callable[[str], None] = lambda text: None
    twins: tuple[Path, ...] = ()

    def run(self) -> tuple[StartResult, list[RoundResult]]:
        """All rounds of all seeds. Raises SimulationError, CocoError for an image that cannot be read, ConfigError."""
        settings = replace(self, settings=self.settings.cut_to(len(self.data.pool)))
        return settings._run()

    def _run(self) -> tuple[StartResult, list[RoundResult]]:
        Storage(self.folder).claim(self._identity())
        self.on_step("judging the start weights")
        start = self._judged_start()
        results = [result for seed in range(self.settings.seeds) for result in self._play_seed(seed, start)]
        Storage(self.folder).drop_features()
        return start, results

    def _identity(self) -> dict[str, Any]:
        """What results depend on; more seeds may be added later."""
        training = asdict(self.settings.training)
        for name in ("seed", "cache", "cache_bytes", "device", "devices", "threads"):
            del training[name]
        return {
            "data": hashlib.sha256(json.dumps(self.data.data, sort_keys=True).encode()).hexdigest()[:12],
            "weights": self.start.digest,
            "rounds": self.settings.rounds,
            "order": self.settings.order,
            "random_share": self.settings.random_share,
            "gated": self.settings.gated,
            "score_threshold": self.settings.score_threshold,
            "effort": asdict(self.settings.effort),
            "training": training,
        }

    def _judged_start(self) -> StartResult:
        known = tuple(label for label in self.data.labels if label in self.start.labels)
        return StartResult(
            **asdict(Figures.of(self._judge_for_figures(self.start, self.settings.score_threshold))),
            known_labels=known,
        )

    def _play_seed(self, seed: int, start: StartResult) -> Sequence[RoundResult]:
        storage = Storage(self.folder)
        results: list[RoundResult] = []
        for labels in self.settings.rounds:
            result = storage.finished(seed, labels)
            if result is None:
                result = self._play(seed, labels, start, results)
            results.append(result)
            self.on_round(result)
        return results

    def _play(
        self, seed: int, labels: int, start: StartResult, earlier: Sequence[RoundResult]
    ) -> RoundResult:
        """Label up to `labels` images with what serves after the rounds before, then train on all of them."""
        step = f"seed {seed}, {labels} labels: "
        self.on_step(f"{step}labelling")
        serving = self._serving(earlier)
        detector = self._detector(serving) if self._knows_any(serving) else None
        before = tuple(id_ for result in earlier for id_ in result.image_ids)
        new = self._next(seed, before, labels - len(before), detector or self._detector(serving), earlier)
        known = None if earlier else self._of_a_twin(seed, labels, new)
        if known:
            return known
        outcomes = outcomes_of(detector, self.data.of(new), self._shown_from(earlier))
        attempt = self._attempt(seed, before + new, serving, detector, earlier, step)
        figures = attempt.figures or (earlier[-1] if earlier else start)
        effort = self.settings.effort
        result = RoundResult(
            **{one.name: getattr(figures, one.name) for one in fields(Figures)},
            seed=seed,
            labels=labels,
            objects=sum(one.objects for one in outcomes) + (earlier[-1].objects if earlier else 0),
            held_out=sum(map(is_held_out, before + new)),
            train_seconds=round(attempt.seconds, 1),
            person_seconds=self._total(earlier, "person_seconds", seconds_with(outcomes, effort)),
            person_seconds_without=self._total(
                earlier, "person_seconds_without", seconds_without(outcomes, effort)
            ),
            promoted=attempt.decision.promoted,
            reason=attempt.decision.reason,
            image_ids=new,
            calibration=attempt.calibration if attempt.decision.promoted else self._calibration(earlier),
            thresholds=attempt.thresholds if attempt.decision.promoted else self._thresholds(earlier),
        )
        Storage(self.folder).finish(result, attempt.candidate if attempt.decision.promoted else None)
        return result

    def _next(
        self,
        seed: int,
        before: tuple[ImageId, ...],
        count: int,
        detector: Detector,
        earlier: Sequence[RoundResult],
    ) -> tuple[ImageId, ...]:
        """What the order asks for; it sees no label."""
        queue = Queue(
            self.data.pool,
            before,
            self.data.pixels,
            detector,
            self.data.labels,
            seed,
            self._calibration(earlier),
            self.settings.random_share,
        )
        return tuple(ORDERS[self.settings.order](queue, count))

    @staticmethod
    def _calibration(earlier: Sequence[RoundResult]) -> Calibration:
        """Of what serves after these rounds."""
        return earlier[-1].calibration if earlier else IDENTITY

    @staticmethod
    def _thresholds(earlier: Sequence[RoundResult]) -> Mapping[str, float] | None:
        """Of what serves after these rounds; None for the start weights."""
        return earlier[-1].thresholds if earlier else None

    def _shown_from(self, earlier: Sequence[RoundResult]) -> Threshold:
        """From which score on a person sees the regions of what serves after these rounds."""
        thresholds = self._thresholds(earlier)
        return self.settings.score_threshold if thresholds is None else thresholds

    def _of_a_twin(self, seed: int, labels: int, ids: tuple[ImageId, ...]) -> RoundResult | None:
        for folder in self.twins:
            result = Storage(folder).finished(seed, labels)
            if result and result.image_ids == ids:
                Storage(self.folder).take_over(result, Storage(folder))
                return result
        return None

    @staticmethod
    def _total(earlier: Sequence[RoundResult], name: str, seconds: float) -> float:
        return round(seconds + (getattr(earlier[-1], name) if earlier else 0.0), 1)

    def _attempt(
        self,
        seed: int,
        labelled: Sequence[ImageId],
        serving: Checkpoint,
        detector: Detector | None,
        earlier: Sequence[RoundResult],
        step: str,
    ) -> _Attempt:
        """Train on the labels that are not held out, and ask the gate."""
        train = self.data.of(id_ for id_ in labelled if not is_held_out(id_))
        holdout = self.data.of(id_ for id_ in labelled if is_held_out(id_))
        try:
            trained = self.trainer(
                serving,
                train,
                holdout,
                Storage(self.folder).training(seed, len(labelled)),
                self._training(seed),
                on_progress=lambda progress: self.on_step(f"{step}{progress}"),
            )
        except TrainingError as error:
            return _Attempt(GateDecision(False, f"Training failed: {error}."))
        self.on_step(f"{step}judging")
        compared = compare(
            self._detector(trained.checkpoint),
            detector if self.settings.gated else None,
            holdout,
            effort=self.settings.effort,
            score_threshold=self.settings.score_threshold,
            serving_thresholds=self._thresholds(earlier),
        )
        thresholds = compared.candidate_thresholds
        decision = compared.decision if self.settings.gated else _ungated(compared.candidate)
        figures = (
            Figures.of(self._judge_for_figures(trained.checkpoint, thresholds)) if decision.promoted else None
        )
        return _Attempt(
            decision,
            trained.train_seconds,
            trained.checkpoint,
            figures,
            compared.candidate_calibration,
            thresholds,
        )

    def _training(self, seed: int) -> FineTuningSettings:
        settings = self.settings.training
        return replace(settings, seed=seed, cache=settings.cache or str(Storage(self.folder).features))

    def _serving(self, earlier: Sequence[RoundResult]) -> Checkpoint:
        """What the last promotion brought, else the start weights."""
        promoted = [result for result in earlier if result.promoted]
        return Storage(self.folder).weights(promoted[-1]) if promoted else self.start

    def _knows_any(self, checkpoint: Checkpoint) -> bool:
        return not set(checkpoint.labels).isdisjoint(self.data.labels)

    def _detector(self, checkpoint: Checkpoint) -> Detector:
        training = self.settings.training
        return Detector.load(checkpoint, engine="torch", device=training.device, threads=training.threads)

    def _judge_for_figures(self, checkpoint: Checkpoint, thresholds: Threshold) -> Judgement:
        return judge(self._detector(checkpoint), self.data.of(self.data.figures), thresholds)


def _ungated(candidate: Judgement) -> GateDecision:
    return GateDecision(True, f"Promoted without the gate: AP50 {candidate.box_AP50:.3f}.")
