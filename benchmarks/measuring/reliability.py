"""How near probabilities come to the share of regions that is kept: reliability tables and calibration error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fbnetv3.judging import IDENTITY, Calibration, ScoredRegion


class ReliabilityBin(NamedTuple):
    """The `regions` with probabilities of one interval: their mean probability, and the share that was kept."""

    lower: float
    upper: float
    regions: int
    mean: float
    kept: float


def reliability(
    regions: Iterable[ScoredRegion], calibration: Calibration = IDENTITY, bins: int = 10
) -> list[ReliabilityBin]:
    """Equal intervals of 0..1 that hold any region; where the scores are right, `mean` is `kept`."""
    regions = list(regions)
    probabilities = calibration(np.array([one.score for one in regions]))
    kept = np.array([one.kept for one in regions], bool)
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            index / bins,
            (index + 1) / bins,
            int((bin_of == index).sum()),
            float(probabilities[bin_of == index].mean()),
            float(kept[bin_of == index].mean()),
        )
        for index in np.unique(bin_of).tolist()
    ]


def calibration_error(table: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error, 0..1: the mean gap between probability and share kept, by regions (Guo et al.)."""
    total = sum(one.regions for one in table)
    return sum(one.regions * abs(one.mean - one.kept) for one in table) / max(total, 1)
