"""What a fine-tuning leaves to look at: `metrics.jsonl`, and event files that `tensorboard --logdir` opens."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from fbnetv3.training.loop import Progress

METRICS = "metrics.jsonl"


class Records:
    """Writes both, from the step on at which a fine-tuning begins or goes on."""

    def __init__(self, folder: Path, step: int) -> None:
        self._file = folder / METRICS
        self._board = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def progress(self, progress: Progress) -> None:
        """The means since the last report."""
        values = {f"loss/{name}": value for name, value in progress.losses.items()}
        values["loss/total"] = sum(progress.losses.values())
        values["learning_rate"] = progress.learning_rate
        values["images_per_second"] = progress.images_per_second
        values["seconds_left"] = progress.seconds_left
        self._write(progress.step, values)

    def holdout(self, step: int, figures: Mapping[str, float]) -> None:
        """How well the averaged weights do on the hold-out, by the names of the figures."""
        self._write(step, {f"holdout/{name}": value for name, value in figures.items()})

    def close(self) -> None:
        """Nothing is written after this."""
        self._board.close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        line = {"step": step, "time": round(time.time(), 3), **values}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()
