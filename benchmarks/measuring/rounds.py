"""Variants that take turns: the machine's mood falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: Calls of one variant before the next has its turn; the first of them finds the caches full of the others' data.
CALLS = 3


@dataclass(frozen=True)
class Rounds:
    """Milliseconds of every variant, round by round."""

    milliseconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """The median over the rounds."""
        return statistics.median(self.milliseconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as fast: the median of the ratios within each round."""
        pairs = zip(self.milliseconds[slow], self.milliseconds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)


def alternate(runs: Mapping[str, Callable[[], object]], rounds: int, calls: int = CALLS) -> Rounds:
    """Time all variants in every round, the median of `calls` each; a round before the first warms them up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            median = statistics.median(milliseconds(run) for _ in range(calls))
            if turn:
                times[name].append(median)
    return Rounds(times)


def milliseconds(run: Callable[[], object]) -> float:
    """The time of one call."""
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)
