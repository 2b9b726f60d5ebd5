"""An epoch of fine-tuning with the outputs of the frozen stages on disk, against one that computes them each time."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fbnetv3.data.examples import Examples
from fbnetv3.finetuning import FineTuningSettings, OnProgress, Progress, fine_tune
from fbnetv3.finetuning.loop import REPORT_EVERY
from fbnetv3.finetuning.plan import BATCH_SIZE, VIEWS
from fbnetv3.simulation import ReplayData
from fbnetv3.weights import Checkpoint
from measuring.sheets import Sheet

#: More epochs than any measurement takes.
ENDLESS = 10_000.0

#: A training run that calls this after every REPORT_EVERY steps.
Train = Callable[[OnProgress], object]


@dataclass(frozen=True)
class Material:
    """What is trained on what: start weights, labelled images, CPU threads."""

    start: Checkpoint
    data: ReplayData
    images: int
    threads: int | None

    @property
    def train(self) -> Examples:
        """The images to learn from."""
        return self.data.of(self.data.pool[: self.images])

    @property
    def nothing(self) -> Examples:
        """No hold-out, so that there is nothing but steps."""
        return self.data.of(())


class Cost(NamedTuple):
    """Seconds by the clock and of the CPU, all threads together."""

    clock: float
    cpu: float


class Enough(Exception):
    """Ends a training run that was measured."""


class Turns:
    """A training run in a thread of its own that takes REPORT_EVERY steps whenever it is told to, and else waits."""

    def __init__(self, train: Train) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._enough = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(train,), daemon=True)
        self._thread.start()

    def advance(self) -> Cost:
        """Of the next steps; those of the first call hold the preparations too."""
        started, computing = time.perf_counter(), time.process_time()
        self._go.release()
        self._done.acquire()
        if self._error:
            raise self._error
        return Cost(time.perf_counter() - started, time.process_time() - computing)

    def end(self) -> None:
        """No more steps."""
        self._enough = True
        self._go.release()
        self._thread.join()

    def _run(self, train: Train) -> None:
        self._go.acquire()
        try:
            if not self._enough:
                train(self._pause)
        except Enough:
            return
        except Exception as error:  # noqa: BLE001 (advance raises it)
            self._error = error
            self._done.release()

    def _pause(self, _: Progress) -> None:
        self._done.release()
        self._go.acquire()
        if self._enough:
            raise Enough


@dataclass(frozen=True)
class _Timed:
    """The same steps with and without the cache, turn by turn; bytes on disk per view; seconds of the
    first VIEWS epochs, which fill the cache."""

    cached: list[Cost]
    uncached: list[Cost]
    view_bytes: float
    filling: float


def measure(folder: Path, material: Material, stages: Sequence[int], rounds: int) -> Iterator[Sheet]:
    """One row per number of frozen stages."""
    size = min(BATCH_SIZE, material.images)
    sheet = Sheet(
        f"An epoch of {material.images} images: the cache filled, against none",
        (
            "frozen stages",
            "uncached, s",
            "cached, s",
            "uncached / cached",
            "least..most",
            "of CPU time",
            "kB per view",
            "images/s cached",
            "an epoch while filling, s",
        ),
    )
    per_epoch = material.images / size / REPORT_EVERY
    for count in stages:
        timed = _time(folder / str(count), material, count, rounds, size)
        pairs = list(zip(timed.uncached, timed.cached, strict=True))
        ratios = [slow.clock / fast.clock for slow, fast in pairs]
        cached = statistics.median(one.clock for one in timed.cached)
        sheet.add(
            str(count),
            statistics.median(one.clock for one in timed.uncached) * per_epoch,
            cached * per_epoch,
            statistics.median(ratios),
            f"{min(ratios):.2f}..{max(ratios):.2f}",
            statistics.median(slow.cpu / fast.cpu for slow, fast in pairs),
            timed.view_bytes / 1e3,
            REPORT_EVERY * size / cached,
            timed.filling / VIEWS,
        )
    yield sheet


def _time(folder: Path, material: Material, stages: int, rounds: int, batch_size: int) -> _Timed:
    """Both take the same steps, `rounds` times REPORT_EVERY of them in turn, after an epoch to warm up."""
    cache = folder / "features"
    settings = FineTuningSettings(
        frozen_stages=stages, batch_size=batch_size, threads=material.threads, cache=str(cache)
    )

    def train(name: str, epochs: float, cache_bytes: int, pause: OnProgress) -> object:
        chosen = replace(settings, epochs=epochs, cache_bytes=cache_bytes)
        return fine_tune(
            material.start, material.train, material.nothing, folder / name, chosen, on_progress=pause
        )

    started = time.perf_counter()
    train("filling", float(VIEWS), settings.cache_bytes, lambda _: None)
    filling = time.perf_counter() - started
    files = [file.stat().st_size for file in cache.iterdir()]
    warm = math.ceil(material.images / batch_size / REPORT_EVERY)
    times: dict[str, list[Cost]] = {"cached": [], "uncached": []}
    with ExitStack() as stack:
        trainings = {
            name: stack.enter_context(_turns(partial(train, name, ENDLESS, kept)))
            for name, kept in (("cached", settings.cache_bytes), ("uncached", 0))
        }
        for turn in range(warm + rounds):
            for name, training in trainings.items():
                cost = training.advance()
                if turn >= warm:
                    times[name].append(cost)
    return _Timed(times["cached"], times["uncached"], sum(files) / len(files), filling)


@contextmanager
def _turns(train: Train) -> Iterator[Turns]:
    turns = Turns(train)
    try:
        yield turns
    finally:
        turns.end()
