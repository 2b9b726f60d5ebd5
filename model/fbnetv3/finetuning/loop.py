"""The steps of a fine-tuning: batches of views, checks on the hold-out, checkpoints to go on from when killed."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fbnetv3.files import write_whole
from fbnetv3.finetuning.parts import LearningPart
from fbnetv3.finetuning.plan import Plan
from fbnetv3.finetuning.processes import Process
from fbnetv3.finetuning.records import Records
from fbnetv3.finetuning.viewed import ViewedExamples
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Target
from fbnetv3.training.loop import Meter, Optimisation, Progress

logger = logging.getLogger(__name__)

STATE = "state.pt"
CHECKPOINT_SECONDS = 30.0
"""Between checkpoints, of about 50 MB: what a killed process loses at most, and the check under way."""

REPORT_EVERY = 10
"""Steps per line of the log."""

CLEARLY_BETTER = 0.02
"""By how much an earlier check must exceed the last one to be preferred: less is chance on a small hold-out."""

SEEDS = 1 << 40
"""More than the draws of any fine-tuning: no two of them make the same random choices."""

Check = Callable[[RCNN], dict[str, float]]
"""Figures of a model on the hold-out; `score` is the one that counts."""


class Draw(NamedTuple):
    """One member of a batch: which example, which view of it, and the seed of what is random in its losses.

    The seed is the draw's own, so that a batch comes out the same in one process or shared among several.
    """

    example: int
    view: int
    seed: int


@dataclass
class Standing:
    """How far a fine-tuning is. `best`: the averaged weights of the best check, where there was one."""

    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] | None = None
    best_score: float = -1.0
    checks_without_gain: int = 0
    is_finished: bool = False


class Loop:
    """One fine-tuning; `run` begins it, or goes on from the state in the folder."""

    def __init__(
        self,
        model: RCNN,
        examples: ViewedExamples,
        plan: Plan,
        folder: Path,
        process: Process,
        check: Check | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._plan, self._folder, self._process = plan, folder, process
        self._examples, self._check, self._on_progress = examples, check, on_progress
        model.to(process.device)
        self._part: nn.Module = LearningPart(model)
        self._optimisation = Optimisation(model, plan)
        self.standing = Standing()

    def run(self) -> RCNN:
        """Train to the end, or until the hold-out has not gained for `patience` checks; the model to keep."""
        self._resume()
        if self._process.count > 1:
            self._part = DistributedDataParallel(self._part)
        records = Records(self._folder, self.standing.step) if self._process.is_first else None
        try:
            self._steps(records)
        finally:
            if records:
                records.close()
        return self._chosen()

    def _steps(self, records: Records | None) -> None:
        standing, plan = self.standing, self._plan
        meter = Meter(plan, standing.step)
        saved = -math.inf
        while not standing.is_finished:
            started = time.monotonic()
            meter.add(self._step(standing.step))
            standing.step += 1
            standing.is_finished = standing.step >= plan.steps
            if records and (standing.step % REPORT_EVERY == 0 or standing.is_finished):
                progress = meter.report(standing.step, self._optimisation.learning_rate)
                self._on_progress(progress)
                records.progress(progress)
            if standing.step % plan.check_every == 0 or standing.is_finished:
                self._look_at_holdout(records)
            standing.seconds += time.monotonic() - started
            if standing.is_finished or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()

    def _step(self, step: int) -> dict[str, float]:
        draws = self._process.share(self._draws(step))
        views = [self._examples.view(draw.example, draw.view) for draw in draws]
        device = self._process.device
        losses = self._part(
            [{name: value.to(device) for name, value in view.features.items()} for view in views],
            [view.size for view in views],
            [_to(view.target, device, draw.seed) for view, draw in zip(views, draws, strict=True)],
        )
        return self._optimisation.update(losses)

    def _draws(self, step: int) -> list[Draw]:
        """A step's batch: every epoch has each example once, and its next view."""
        plan, count, views = self._plan, len(self._examples), len(self._examples.views)
        draws = []
        for draw in range(step * plan.batch_size, (step + 1) * plan.batch_size):
            epoch, place = divmod(draw, count)
            index = int(np.random.default_rng((plan.seed, epoch)).permutation(count)[place])
            first = int(np.random.default_rng((plan.seed, 1, index)).integers(views))
            draws.append(Draw(index, (first + epoch) % views, plan.seed * SEEDS + draw))
        return draws

    def _look_at_holdout(self, records: Records | None) -> None:
        """Only the first process looks; all of them hear whether to stop."""
        standing = self.standing
        if self._check and self._process.is_first:
            figures = self._check(self._optimisation.averaged)
            if records:
                records.holdout(standing.step, figures)
            score = figures["score"]
            logger.info("step %d: hold-out %s", standing.step, _shown(figures))
            if score >= standing.best_score - (CLEARLY_BETTER if standing.is_finished else 0.0):
                standing.checks_without_gain = 0
                standing.best_score = score
                standing.best = {
                    key: value.clone() for key, value in self._optimisation.averaged.state_dict().items()
                }
            else:
                standing.checks_without_gain += 1
                standing.is_finished |= standing.checks_without_gain >= self._plan.patience
        standing.is_finished = self._process.agreed(standing.is_finished)

    def _chosen(self) -> RCNN:
        model = self._optimisation.averaged
        if self.standing.best is not None:
            model.load_state_dict(self.standing.best)
        return model.eval()

    def _save(self) -> None:
        if not self._process.is_first:
            return
        state = {
            "plan": self._plan.fingerprint,
            "standing": vars(self.standing),
            **self._optimisation.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_whole(content.getvalue(), self._folder / STATE)

    def _resume(self) -> None:
        path = self._folder / STATE
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["plan"] != self._plan.fingerprint:
            logger.info("%s is of another fine-tuning: beginning from the start", path)
            return
        self.standing = Standing(**state["standing"])
        self._optimisation.load_state_dict(state)
        logger.info("going on from step %d", self.standing.step)


def _to(target: Target, device: str, seed: int) -> Target:
    known = None if target.has_mask is None else target.has_mask.to(device)
    return Target(target.boxes.to(device), target.classes.to(device), target.masks, known, seed)


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
