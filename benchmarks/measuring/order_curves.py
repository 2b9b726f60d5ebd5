"""What `prelabel simulate --order ...` left in its folder so far, compared seed by seed with the random order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np

from fbnetv3.simulation import RoundResult
from fbnetv3.simulation.order_comparison import BASELINE

#: The share of the full data's AP50 that is asked for.
ENOUGH = 0.95
#: Points at which two curves are compared; their rounds are few, so more would change nothing.
GRID = 50


@dataclass(frozen=True)
class Curves:
    """One data set's rounds by order and seed, and by seed the AP50 after training on everything."""

    name: str
    rounds: dict[str, dict[int, list[RoundResult]]]
    full: dict[int, float]

    @property
    def orders(self) -> list[str]:
        """Random first."""
        return sorted(self.rounds, key=lambda order: (order != BASELINE, order))

    def seeds(self, order: str) -> list[int]:
        """Those of which this order and the random one have all rounds."""
        complete = max(len(rounds) for rounds in self.rounds[BASELINE].values())
        both = self.rounds[order].keys() & self.rounds[BASELINE].keys()
        return [
            seed
            for seed in sorted(both)
            if len(self.rounds[order][seed]) == len(self.rounds[BASELINE][seed]) == complete
        ]

    def gains(self, order: str, across: str) -> list[float]:
        """By seed, the mean difference of AP50 to the random order at equal `across`, a field of RoundResult."""
        return [
            gain
            for seed in self.seeds(order)
            if (gain := _gain(self.rounds[order][seed], self.rounds[BASELINE][seed], across)) is not None
        ]

    def enough_at(self, order: str, across: str) -> float | None:
        """From how many `across` on the means over the seeds have 95 % of the full AP50; None: not in these rounds."""
        seeds = [seed for seed in self.seeds(order) if seed in self.full]
        if not seeds:
            return None
        goal = ENOUGH * fmean(self.full[seed] for seed in seeds)
        by_round = list(zip(*(self.rounds[order][seed] for seed in seeds), strict=True))
        points = [(0.0, 0.0)] + [
            (fmean(getattr(one, across) for one in ones), fmean(one.box_AP50 for one in ones))
            for ones in by_round
        ]
        for (x0, y0), (x1, y1) in pairwise(points):
            if y1 >= goal:
                return x0 + (x1 - x0) * (goal - y0) / (y1 - y0)
        return None


def _gain(ours: Sequence[RoundResult], theirs: Sequence[RoundResult], across: str) -> float | None:
    """Over what both curves cover; None where that is nothing."""
    curves = [
        ([getattr(one, across) for one in rounds], [one.box_AP50 for one in rounds])
        for rounds in (ours, theirs)
    ]
    lower, upper = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if lower >= upper:
        return None
    grid = np.linspace(lower, upper, GRID)
    our, their = (np.interp(grid, x, y) for x, y in curves)
    return float((our - their).mean())


def read_curves(folder: Path) -> Curves:
    """Of a comparison's folder, and of `FOLDER-full`, a simulation of one round with all images, where there is one."""
    rounds = {
        order.name: by_seed
        for order in sorted(folder.iterdir())
        if order.is_dir() and (by_seed := read_rounds(order))
    }
    full = read_rounds(folder.with_name(f"{folder.name}-full"))
    return Curves(folder.name, rounds, {seed: results[-1].box_AP50 for seed, results in full.items()})


def read_rounds(folder: Path) -> dict[int, list[RoundResult]]:
    """The rounds of one order that are done, by seed."""
    results = [_read(file) for file in folder.glob("seed*/labels*/result.json")]
    by_seed: dict[int, list[RoundResult]] = {}
    for result in sorted(results, key=lambda one: (one.seed, one.labels)):
        by_seed.setdefault(result.seed, []).append(result)
    return by_seed


def _read(file: Path) -> RoundResult:
    return RoundResult.from_dict(json.loads(file.read_text(encoding="utf-8")))


def mean_gain(curves: Iterable[Curves], order: str, across: str) -> tuple[float, int, int] | None:
    """Over all sets, each the same: the mean gain, in how many sets it is above 0, and of how many."""
    gains = [fmean(found) for one in curves if order in one.rounds and (found := one.gains(order, across))]
    return (fmean(gains), sum(gain > 0 for gain in gains), len(gains)) if gains else None
