"""Trials of a part, one after the other in a process of their own: it may hang, swell or die, and the campaign goes on.

A trial is drawn from (seed, part, number) alone, so that any of them can be repeated without the others.
"""

from __future__ import annotations

import os
import random
import resource
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import ClassVar, Protocol

#: Seconds for one trial, beside whatever else the machine does; most take milliseconds.
TIME_LIMIT = 30.0
#: Bytes by which one trial may raise the process's peak. An image of the most pixels that is allowed takes 300 MB as
#: RGB, and up to four such copies while transparency is laid over white and the whole is turned upright.
MEMORY_LIMIT = 2 << 30
#: Bytes of addresses: what asks for more gets a MemoryError, and the machine stays usable.
ADDRESS_LIMIT = 16 << 30
#: Seconds until the process has imported all and drawn its material.
START_LIMIT = 300.0
LOG = "log"
#: What Linux takes in clear_refs for: let the peak be what is resident now.
RESET_PEAK = "5"
#: Frames of a traceback that are kept.
FRAMES = 6


class Broke(AssertionError):
    """prelabel did not hold; the message says what it did instead."""


@dataclass(frozen=True)
class Trial:
    """`group`: what it is counted under. `files`: the input, by names. `attempt`: gives what came of it in a word,
    and raises whatever prelabel should not have."""

    group: str
    files: Mapping[str, bytes]
    attempt: Callable[[], str]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial in a word. `fault`: why it did not hold, None where it did; `files`: its input then."""

    number: int
    group: str
    word: str = ""
    fault: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


class Subject(Protocol):
    """What is tried; made once per process, with a folder of its own. `limit`: seconds for a trial."""

    limit: ClassVar[float] = TIME_LIMIT

    def __init__(self, folder: Path) -> None: ...

    def trial(self, number: int, dice: random.Random) -> Trial:
        """The trial of this number, with its dice."""


def dice_of(seed: int, part: str, number: int) -> random.Random:
    """The dice of a trial."""
    return random.Random(f"{seed} {part} {number}")


def attempt(subject: type[Subject], folder: Path, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
    """Each of these trials, in order."""
    waiting = list(numbers)
    while waiting:
        with _process(subject, folder, seed, waiting) as (process, results):
            while waiting:
                outcome = _next(process, results, waiting[0], subject.limit)
                waiting.pop(0)
                if outcome.fault is not None and not outcome.files:
                    outcome = _with_input(outcome, subject, folder, seed)
                yield outcome
                if not process.is_alive():
                    break


def _next(process: SpawnProcess, results: Connection, number: int, limit: float) -> Outcome:
    """What the process says of this trial; the process is ended where it does not, or has grown too much."""
    if not results.poll(limit):
        process.kill()
        process.join()
        return Outcome(number, "", fault=f"took more than {limit:.0f} s")
    try:
        outcome, swollen = results.recv()
    except EOFError:
        process.join()
        return Outcome(number, "", fault=f"ended the process, exit code {process.exitcode}")
    if swollen > MEMORY_LIMIT:
        process.kill()
        process.join()
        return replace(outcome, fault=f"took {swollen >> 20} MB")
    return outcome


def _with_input(outcome: Outcome, subject: type[Subject], folder: Path, seed: int) -> Outcome:
    """The outcome of a process that cannot tell any more."""
    again = folder / f"again{outcome.number}"
    again.mkdir()
    trial = subject(again).trial(outcome.number, dice_of(seed, subject.__name__, outcome.number))
    return replace(outcome, group=trial.group, files=trial.files)


@contextmanager
def _process(
    subject: type[Subject], folder: Path, seed: int, numbers: Sequence[int]
) -> Iterator[tuple[SpawnProcess, Connection]]:
    """The process, once it is ready; ended in the end."""
    context = get_context("spawn")
    results, ours = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(subject, folder, seed, list(numbers), ours), daemon=True)
    process.start()
    ours.close()
    try:
        _wait_for_start(results, folder / LOG)
        yield process, results
    finally:
        process.kill()
        process.join()
        results.close()


def _wait_for_start(results: Connection, log: Path) -> None:
    try:
        if results.poll(START_LIMIT) and results.recv():
            return
    except EOFError:
        pass
    raise SystemExit(f"the trials do not start: {log.read_text(errors='replace')[-2000:]}")


def _work(
    subject: type[Subject], folder: Path, seed: int, numbers: Sequence[int], results: Connection
) -> None:
    """The process: what C libraries print goes into a log."""
    with (folder / LOG).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_LIMIT, resource.RLIM_INFINITY))
    made = subject(folder)
    results.send(True)
    for number in numbers:
        peak = _Peak()
        outcome = _attempt(number, made.trial(number, dice_of(seed, subject.__name__, number)))
        results.send((outcome, peak.grown()))


def _attempt(number: int, trial: Trial) -> Outcome:
    try:
        return Outcome(number, trial.group, trial.attempt())
    except Broke as broke:
        return Outcome(number, trial.group, fault=str(broke), files=trial.files)
    except Exception as error:  # noqa: BLE001 (whatever it is, it should not have come out)
        lines = traceback.format_exception(error)
        return Outcome(number, trial.group, fault="".join(lines[-FRAMES:]).strip(), files=trial.files)


class _Peak:
    """How much memory a trial has added at its worst; nothing where there is no /proc."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        self._before = _resident()

    def grown(self) -> int:
        """Bytes since this was made."""
        return _resident() - self._before


def _resident() -> int:
    """Bytes at the peak."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
