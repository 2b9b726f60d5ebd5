"""Trainings on N images with k frozen stages, each one's figures in a file of its own.

settings.json                          what the figures belong to
cells/seed0-stages2-images10.json      written last: it is done
work/seed0-stages2/                    of training runs under way; gone when they are done
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from filelock import FileLock, Timeout

from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress, TrainingError, fine_tune
from fbnetv3.judging import judge
from fbnetv3.simulation import ORDERS, ReplayData, SimulationError
from fbnetv3.simulation.orders import Queue
from fbnetv3.simulation.storage import Storage
from fbnetv3.weights import Checkpoint

logger = logging.getLogger(__name__)

FIGURES = ("box_AP50", "box_AP", "mask_AP50", "no_edit_share", "false_positives_per_image")
STEPS_PER_LINE = 50


@dataclass(frozen=True)
class Cell:
    """One training. `figures`: those of FIGURES, `seconds`, `steps` and the input's `min_size`, by name; empty where
    it failed for the reason `error`."""

    data: str
    weights: str
    seed: int
    stages: int
    images: int
    threads: int
    figures: dict[str, float | None]
    error: str | None = None


def read_cells(folder: Path) -> list[Cell]:
    """All that are done, in the order of their names. Raises OSError where the folder holds none."""
    files = sorted((folder / "cells").glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no finished training")
    return [Cell(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


@dataclass(frozen=True)
class Ablation:
    """The training runs of one data set and one set of start weights in the folder `out`; `names`: theirs."""

    data: ReplayData
    start: Checkpoint
    out: Path
    names: dict[str, str]
    epochs: float | None = None
    threads: int | None = None
    random_scores: bool = False

    def claim(self) -> None:
        """Say what the folder belongs to. Ends the program where it is something else."""
        pool = {"pool": list(self.data.pool), "figures": list(self.data.figures)}
        try:
            settings = {"epochs": self.epochs, "random_scores": self.random_scores}
            Storage(self.out).claim({**self.names, "start": self.start.digest, **settings, **pool})
        except SimulationError as error:
            raise SystemExit(str(error)) from None

    def fill(self, seed: int, stages: int, counts: Sequence[int]) -> int:
        """Train on every number of images that is missing, unless another process does; the number of failures."""
        work = self.out / "work" / f"seed{seed}-stages{stages}"
        work.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(work.with_suffix(".lock"), timeout=0):
                failures = [self._cell(seed, stages, count, work).error for count in counts]
                shutil.rmtree(work, ignore_errors=True)
        except Timeout:
            logger.info("another process works on %s", work.name)
            return 0
        return sum(error is not None for error in failures)

    def _cell(self, seed: int, stages: int, images: int, work: Path) -> Cell:
        file = self.out / "cells" / f"seed{seed}-stages{stages}-images{images}.json"
        file.parent.mkdir(exist_ok=True)
        if file.exists():
            known = Cell(**json.loads(file.read_text(encoding="utf-8")))
            if known.error is None:
                return known
        figures: dict[str, float | None] = {}
        error = None
        try:
            figures = self._train(seed, stages, images, work)
        except TrainingError as failed:
            error = str(failed)
        except Exception as failed:
            logger.exception("%s failed", file.stem)
            error = f"{type(failed).__name__}: {failed}"
        cell = Cell(
            **self.names,
            seed=seed,
            stages=stages,
            images=images,
            threads=self.threads or torch.get_num_threads(),
            figures=figures,
            error=error,
        )
        write_whole(json.dumps(asdict(cell), indent=1).encode() + b"\n", file)
        shutil.rmtree(work / str(images), ignore_errors=True)
        logger.info("%s: %s", file.stem, error or _shown(figures))
        return cell

    def _train(self, seed: int, stages: int, images: int, work: Path) -> dict[str, float | None]:
        chosen = ORDERS["random"](Queue(self.data, self.data.pool, None, seed), images)
        settings = FineTuningSettings(
            frozen_stages=stages, epochs=self.epochs, seed=seed, threads=self.threads
        )
        with self._first_scores():
            trained = fine_tune(
                self.start,
                self.data.of(chosen),
                self.data.of(()),
                work / str(images),
                settings,
                on_progress=_log_sometimes,
            )
        return self._figures(trained)

    def _first_scores(self) -> AbstractContextManager[object]:
        """With `random_scores`, new labels begin as the original's do."""
        if not self.random_scores:
            return nullcontext()
        return mock.patch("fbnetv3.finetuning.run.set_first_scores", lambda *_: None)

    def _figures(self, trained: FineTuned) -> dict[str, float | None]:
        detector = Detector.load(trained.checkpoint, engine="torch", threads=self.threads)
        judgement = judge(detector, self.data.of(self.data.figures))
        measured: dict[str, Any] = {name: getattr(judgement, name) for name in FIGURES}
        return {
            **measured,
            "seconds": trained.train_seconds,
            "steps": trained.steps,
            "min_size": trained.plan.min_size,
        }


def _log_sometimes(progress: Progress) -> None:
    if progress.step % STEPS_PER_LINE == 0:
        logger.info("%s", progress)


def _shown(figures: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if value is not None)
