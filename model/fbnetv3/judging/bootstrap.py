"""Whether a gain over some images is more than chance (paired bootstrap, Efron 1979)."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array

RESAMPLES = 2000


def bootstrap_share(gains: Array, seed: int = 0) -> float:
    """The share, 0..1, of resamples of these (n,) gains whose mean is above 0."""
    draws = np.random.default_rng(seed).integers(0, len(gains), (RESAMPLES, len(gains)))
    return float((gains[draws].mean(1) > 0).mean())
