"""From a region's score to the probability that a person keeps it, learnt on the hold-out.

A detector's scores rank its regions, but 0.8 rarely means that 80 % of them are kept: fine-tuning on a few dozen images
leaves them too sure or too shy. Platt's logistic regression on the score's logit (Platt 1999; temperature scaling of
Guo et al. 2017, arXiv 1706.04599, with an offset) puts that right and keeps the ranking. Its two numbers are drawn to
the identity by a prior, so that few regions change little. docs/active-learning.md compares it with temperature alone
and with isotonic regression.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from fbnetv3.arrays import Array, sigmoid

#: Standard deviations of the prior on slope - 1 and on the offset: after some tens of regions the data decides.
PRIOR = np.array([0.5, 1.0])
#: The least slope: a smaller one would make all regions alike, a negative one turn their order around.
FLATTEST = 0.1
#: Scores this close to 0 and 1 have finite logits.
TINY = 1e-6
#: Newton's method on two numbers and a concave objective takes fewer.
ITERATIONS = 50


class ScoredRegion(NamedTuple):
    """A region's score, 0..1, and whether a person kept it: it belongs to an object of its label."""

    score: float
    kept: bool


@dataclass(frozen=True)
class Calibration:
    """Probability = sigmoid(slope * logit(score) + offset); the defaults are the identity.

    `regions`: how many it was fitted to.
    """

    slope: float = 1.0
    offset: float = 0.0
    regions: int = 0

    def __call__(self, scores: Array) -> Array:
        """Scores (n,), 0..1 -> probabilities (n,) float32 in the same order of size."""
        if (self.slope, self.offset) == (1.0, 0.0):
            return np.asarray(scores, np.float32)
        return sigmoid(self.slope * _logit(scores) + self.offset).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """What `as_dict` gave; what only another release knows is left out."""
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})


IDENTITY = Calibration()

IN_WEIGHTS = "calibration"
"""In the provenance of weights that `prelabel train` wrote, as JSON: what makes confidences of their scores."""


def calibration_in(weights: Path) -> Calibration:
    """What a safetensors file says of its scores; the identity where it says nothing. Takes no PyTorch."""
    try:
        return Calibration.from_dict(json.loads(provenance_in(weights)[IN_WEIGHTS]))
    except (KeyError, TypeError, ValueError):
        return IDENTITY


def provenance_in(weights: Path) -> dict[str, str]:
    """The provenance of the weights in a safetensors file; empty for other files. Takes no PyTorch."""
    try:
        with safe_open(weights, framework="numpy") as file:
            provenance = json.loads((file.metadata() or {})["provenance"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def fit_calibration(regions: Sequence[ScoredRegion]) -> Calibration:
    """The most probable calibration of these regions of a hold-out; the identity where there are none."""
    if not regions:
        return IDENTITY
    logits = _logit(np.array([one.score for one in regions]))
    kept = np.array([one.kept for one in regions], np.float64)
    slope, offset = _maximum(np.stack([logits, np.ones_like(logits)], 1), kept)
    return Calibration(max(float(slope), FLATTEST), float(offset), len(regions))


def _maximum(inputs: Array, kept: Array) -> Array:
    """Newton's method on the log posterior of (slope, offset) with a normal prior around (1, 0)."""
    identity = np.array([1.0, 0.0])
    weights = identity
    for _ in range(ITERATIONS):
        probabilities = sigmoid(inputs @ weights)
        gradient = inputs.T @ (kept - probabilities) - (weights - identity) / PRIOR**2
        spread = (probabilities * (1 - probabilities))[:, None]
        step = np.linalg.solve(inputs.T @ (spread * inputs) + np.diag(PRIOR**-2), gradient)
        # A step of at most 1: far from the maximum, where all is saturated, a whole one overshoots.
        weights = weights + step / max(1.0, float(np.linalg.norm(step)))
        if np.abs(step).max() < TINY:
            break
    return weights


def _logit(scores: Array) -> Array:
    clipped = np.clip(np.asarray(scores, np.float64), TINY, 1 - TINY)
    return np.log(clipped / (1 - clipped))
