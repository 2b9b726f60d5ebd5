"""The loop of a simulation, the product's own step by step: pre-label, accept, train, judge, promote or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fbnetv3.detector import Detector
from fbnetv3.finetuning.cadence import Cadence
from fbnetv3.finetuning.start import Sources, sources_by_name
from fbnetv3.judging import (
    ImageOutcome,
    judge,
    outcomes_of,
    seconds_with,
    seconds_without,
)
from fbnetv3.simulation.orders import ORDERS, Queue
from fbnetv3.simulation.replay_data import ImageId, ReplayData
from fbnetv3.simulation.round_results import Figures, RoundResult, StartResult
from fbnetv3.simulation.serving import ProvisionalVersions, Serving
from fbnetv3.simulation.settings import SimulationSettings
from fbnetv3.simulation.storage import Storage
from fbnetv3.simulation.training_runs import Attempt, Trainer, TrainingRuns
from fbnetv3.weights import Checkpoint


@dataclass(frozen=True)
class Replay:
    """A simulation on `data`, from the weights `start`, in `folder`.

    `twins`: folders of simulations that differ in the order alone; a first round that labelled the same images is
    taken over from them. `cadence`: at which of the rounds a training run starts. `on_round` hears each result, those
    of an earlier call too; `on_step` hears what is going on.
    """

    data: ReplayData
    start: Checkpoint
    settings: SimulationSettings
    folder: Path
    trainer: Trainer
    on_round: Callable[[RoundResult], None] = lambda result: None
    on_step: Callable[[str], None] = lambda text: None
    twins: tuple[Path, ...] = ()
    cadence: Cadence = field(default_factory=Cadence)

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
            "cadence": asdict(self.cadence),
            "training": training,
        }

    def _judged_start(self) -> StartResult:
        known = tuple(label for label in self.data.labels if label in self.start.labels)
        figures = self._figures(self._start_serving())
        return StartResult(**asdict(figures), known_labels=known)

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
        """Label up to `labels` images with what serves after the rounds before, then train if that is due."""
        step = f"seed {seed}, {labels} labels: "
        self.on_step(f"{step}labelling")
        before = tuple(id_ for result in earlier for id_ in result.image_ids)
        serving = self._serving(earlier, before)
        new = self._next(seed, before, labels - len(before), serving)
        known = None if earlier else self._of_a_twin(seed, labels, new)
        if known:
            return known
        shown = serving.detector if serving.knows_any(self.data.labels) else None
        outcomes = outcomes_of(shown, self.data.of(new), serving.shown_from(self.settings.score_threshold))
        labelled = before + new
        if not serving.is_version:
            self.on_step(f"{step}making a provisional version")
            serving = self._provisional_versions.version(labelled)
        tried = max((one.labels for one in earlier if one.is_trained), default=0)
        objects = max(one.objects for one in outcomes)
        is_due = self.cadence.is_due(labels, tried, tried, objects)
        runs = self._training_runs
        attempt = (
            runs.attempt(seed, labelled, serving, lambda text: self.on_step(f"{step}{text}"))
            if is_due
            else None
        )
        result = self._result(seed, labelled, new, outcomes, earlier, attempt, serving)
        candidate = attempt.candidate if attempt and attempt.decision.promoted else None
        Storage(self.folder).finish(result, candidate)
        return result

    def _result(
        self,
        seed: int,
        labelled: Sequence[ImageId],
        new: Sequence[ImageId],
        outcomes: Sequence[ImageOutcome],
        earlier: Sequence[RoundResult],
        attempt: Attempt | None,
        serving: Serving,
    ) -> RoundResult:
        """`serving`: what served when the round's training run, if any, was judged."""
        judgement = attempt.judgement if attempt else None
        if attempt and attempt.candidate and judgement and attempt.decision.promoted:
            serving = Serving(
                self._detector(attempt.candidate),
                judgement.thresholds,
                attempt.calibration,
                judgement.by_key,
                frozenset(map(str, labelled)),
            )
            figures: Figures = self._figures(serving)
        elif serving.is_version:
            figures = earlier[-1]
        else:
            figures = self._figures(serving)
        effort = self.settings.effort
        return RoundResult(
            **{one.name: getattr(figures, one.name) for one in fields(Figures)},
            seed=seed,
            labels=len(labelled),
            objects=sum(one.objects for one in outcomes) + (earlier[-1].objects if earlier else 0),
            judged=judgement.images if judgement else 0,
            train_seconds=round(attempt.seconds, 1) if attempt else 0.0,
            person_seconds=self._total(earlier, "person_seconds", seconds_with(outcomes, effort)),
            person_seconds_without=self._total(
                earlier, "person_seconds_without", seconds_without(outcomes, effort)
            ),
            is_trained=attempt is not None,
            promoted=attempt is not None and attempt.decision.promoted,
            reason=attempt.decision.reason if attempt else "No training run is due.",
            image_ids=tuple(new),
            calibration=serving.calibration,
            thresholds=serving.thresholds,
            remembered=serving.remembered,
        )

    def _next(
        self, seed: int, before: tuple[ImageId, ...], count: int, serving: Serving
    ) -> tuple[ImageId, ...]:
        """What the order asks for; it sees no label."""
        queue = Queue(
            self.data.pool,
            before,
            self.data.pixels,
            serving.detector,
            self.data.labels,
            seed,
            serving.calibration,
            self.settings.random_share,
        )
        return tuple(ORDERS[self.settings.order](queue, count))

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

    def _serving(self, earlier: Sequence[RoundResult], labelled: Sequence[ImageId]) -> Serving:
        """What the last promotion brought, else a provisional version, else the start weights."""
        promoted = [result for result in earlier if result.promoted]
        if promoted:
            last = promoted[-1]
            return Serving(
                self._detector(Storage(self.folder).weights(last)),
                last.thresholds,
                last.calibration,
                last.remembered,
                frozenset(map(str, labelled[: last.labels])),
                Storage(self.folder).folds(last),
            )
        return self._provisional_versions.version(labelled) if labelled else self._start_serving()

    def _start_serving(self) -> Serving:
        return Serving(self._base)

    @cached_property
    def _base(self) -> Detector:
        return self._detector(self.start)

    @cached_property
    def _sources(self) -> Sources:
        return sources_by_name(self.data.labels, self.start.labels)

    @property
    def _training_runs(self) -> TrainingRuns:
        return TrainingRuns(
            self.data,
            self.start,
            self._sources,
            self.settings,
            Storage(self.folder),
            self.trainer,
            self._detector,
        )

    @cached_property
    def _provisional_versions(self) -> ProvisionalVersions:
        settings = self.settings
        return ProvisionalVersions(
            self._base, self.data, self._sources, settings.effort, settings.score_threshold
        )

    def _detector(self, checkpoint: Checkpoint) -> Detector:
        training = self.settings.training
        return Detector.load(checkpoint, engine="torch", device=training.device, threads=training.threads)

    def _figures(self, serving: Serving) -> Figures:
        shown_from = serving.shown_from(self.settings.score_threshold)
        return Figures.of(judge(serving.detector, self.data.of(self.data.figures), shown_from))
