"""/predict while a training runs beside the server, and the training while /predict is asked."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from fbnetv3.finetuning.plan import VIEWS
from measuring import background
from measuring.processes import RunningServer, clean_environment, prelabel, web_server
from measuring.rounds import milliseconds
from measuring.sheets import Cell, Sheet
from measuring.traffic import post
from measuring.workload import POLYGONS, Workload, known_labels, write_pictures
from prelabel.settings import load_settings
from prelabel.worker.lifeline import start_child, stop_child
from prelabel.worker.supervision import training_environment

PATIENCE = 900
#: Seconds after a change, for the caches to settle.
SETTLING = 1.0
#: Name -> seconds between an answer and the next request.
TRAFFIC = {"one after the other": 0.0, "half a second between": 0.5}


@dataclass(frozen=True)
class LabelledFiles:
    """A data set as files, for another process; `images` of it are trained on."""

    annotations: Path
    folder: Path
    images: int


class Training:
    """The process of a training run that goes on until it is stopped; it can be held."""

    def __init__(self, process_id: int, log: Path) -> None:
        self._id, self._log = process_id, log
        self.is_held = False

    def hold(self, held: bool) -> None:
        """Stop it where it is, or let it go on."""
        if held != self.is_held:
            os.killpg(self._id, signal.SIGSTOP if held else signal.SIGCONT)
            self.is_held = held

    def steps(self) -> list[float]:
        """The moments of its steps so far."""
        lines = self._log.read_text().split("\n")[:-1]
        return [float(line) for line in lines if line.replace(".", "", 1).isdigit()]

    def images_per_second(self, start: float, end: float) -> float | None:
        """Between two moments, None where it took fewer than two steps there."""
        seen = [moment for moment in self.steps() if start <= moment < end]
        if len(seen) < 2:
            return None
        return background.BATCH_SIZE * (len(seen) - 1) / (seen[-1] - seen[0])


def measure(
    folder: Path, weights: str, files: LabelledFiles, threads: int | None, rounds: int, seconds: float
) -> Iterator[Sheet]:
    """One row per kind of traffic; each phase lasts so many seconds."""
    labels = known_labels(weights)
    pictures = folder / "pictures"
    pictures.mkdir()
    names = write_pictures(pictures)
    with (
        web_server(pictures) as address,
        prelabel(folder / "home", weights, None) as server,
        training(folder, weights, files, threads) as beside,
    ):
        workload = Workload([f"{address}/{name}" for name in names], labels)
        requests = cycle(workload.bodies(POLYGONS, len(names), len(names)))
        beside.hold(True)
        _ask(server, requests, 0.0, SETTLING)
        sheet = Sheet(
            f"/predict of one task, idle and while training, {rounds} rounds of {seconds:.0f} s each",
            (
                "requests",
                "idle, ms",
                "idle p99",
                "training, ms",
                "training p99",
                "medians' ratio",
                "least..most",
                "training alone, images/s",
                "with requests",
            ),
        )
        for name, pause in TRAFFIC.items():
            sheet.add(name, *_phases(server, requests, beside, pause, rounds, seconds))
    yield sheet


def _phases(
    server: RunningServer,
    requests: Iterator[bytes],
    beside: Training,
    pause: float,
    rounds: int,
    seconds: float,
) -> list[Cell]:
    idle: list[list[float]] = []
    busy: list[list[float]] = []
    learned: dict[str, list[float | None]] = {"alone": [], "asked": []}
    for _ in range(rounds):
        beside.hold(True)
        time.sleep(SETTLING)
        idle.append(_ask(server, requests, pause, seconds))
        beside.hold(False)
        time.sleep(SETTLING)
        started = time.monotonic()
        busy.append(_ask(server, requests, pause, seconds))
        learned["asked"].append(beside.images_per_second(started, started + seconds))
        time.sleep(SETTLING)
        started = time.monotonic()
        time.sleep(seconds)
        learned["alone"].append(beside.images_per_second(started, started + seconds))
    ratios = [statistics.median(b) / statistics.median(a) for a, b in zip(idle, busy, strict=True)]
    return [
        *_middle_and_tail(idle),
        *_middle_and_tail(busy),
        statistics.median(ratios),
        f"{min(ratios):.2f}..{max(ratios):.2f}",
        *map(_median_of_known, learned.values()),
    ]


def _median_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _middle_and_tail(rounds: list[list[float]]) -> list[float]:
    """Median and 99th percentile of all requests, milliseconds."""
    everything = [one for some in rounds for one in some]
    return [float(np.percentile(everything, share)) for share in (50, 99)]


def _ask(server: RunningServer, requests: Iterator[bytes], pause: float, seconds: float) -> list[float]:
    """Milliseconds of each request that begins within so many seconds."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found.append(milliseconds(partial(post, server.port, "/predict", next(requests))))
        time.sleep(pause)
    return found


@contextmanager
def training(folder: Path, weights: str, files: LabelledFiles, threads: int | None) -> Iterator[Training]:
    """It runs as the worker would run it, and has filled its cache."""
    settings = load_settings(prelabel_home=folder / "home", prelabel_training_threads=threads)
    environment = {**clean_environment(), **_of_training(training_environment(settings))}
    command = [sys.executable, background.__file__, str(files.annotations), str(files.folder)]
    command += [weights, str(files.images), str(folder / "training")]
    log = folder / "training.log"
    with log.open("wb") as output:
        process = start_child(command, environment, output)
    beside = Training(process.pid, log)
    enough = VIEWS * files.images / background.BATCH_SIZE
    try:
        deadline = time.monotonic() + PATIENCE
        while len(beside.steps()) < enough:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the training run does not get on: {log.read_text()[-500:]}")
            time.sleep(0.2)
        yield beside
    finally:
        beside.hold(False)
        stop_child(process)


def _of_training(environment: dict[str, str]) -> dict[str, str]:
    """What the worker sets, without what is only in this process's environment."""
    return {name: value for name, value in environment.items() if os.environ.get(name) != value}
