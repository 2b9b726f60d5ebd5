"""A training run without end in a process as the worker starts it: `python background.py ANN IMAGES WEIGHTS N FOLDER`.

Prints the moment of every step, in seconds of the system's monotonic clock.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fbnetv3.finetuning import FineTuningSettings, Progress, fine_tune, loop
from fbnetv3.simulation import read_replay_data
from fbnetv3.weights import load_checkpoint
from prelabel.settings import load_settings
from prelabel.worker.lifeline import end_with_parent

BATCH_SIZE = 4
ENDLESS = 1e5


def main(annotations: str, images: str, weights: str, count: str, folder: str) -> None:
    """See above; ends with its parent."""
    end_with_parent()
    settings = load_settings()
    os.nice(settings.prelabel_training_nice)
    loop.REPORT_EVERY = 1
    data = read_replay_data(Path(annotations), Path(images))
    fine_tune(
        load_checkpoint(weights),
        data.of(data.pool[: int(count)]),
        data.of(()),
        Path(folder),
        FineTuningSettings(batch_size=BATCH_SIZE, epochs=ENDLESS, threads=settings.training_threads),
        on_progress=_tell,
    )


def _tell(_: Progress) -> None:
    print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
