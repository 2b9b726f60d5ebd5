"""Uncertain images first, but one of each kind: the pool's groups take turns.

Pool and labelled images are grouped by appearance (k-means on pooled features). In a group the most uncertain image
comes first; an image's turn is how many of its group are labelled or come before it. Turns count before uncertainty, so
groups of which nothing is labelled are asked about first. Near duplicates of one hard image would otherwise fill the
first places (Zhdanov 2019, arXiv 1901.05954, puts k-means after a choice of the most uncertain for the same reason).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fbnetv3.active_learning.clustering import k_means
from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking
from fbnetv3.active_learning.uncertainty import Entropy, Uncertainty
from fbnetv3.arrays import Array


@dataclass(frozen=True)
class Combined:
    """`uncertainty`: what decides within a group. `groups`: how many; None: the root of the number of images."""

    uncertainty: Uncertainty = field(default_factory=Entropy)
    groups: int | None = None

    name = "combined"
    compares_with_labelled = True

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy."""
        if not pool:
            return Ranking.of(np.zeros(0, np.int64))
        features = np.stack([image.pooled for image in pool])
        if len(labelled):
            features = np.concatenate([features, labelled])
        count = self.groups or round(len(features) ** 0.5)
        groups = k_means(features, count, seed)
        of_pool, of_labelled = groups[: len(pool)], groups[len(pool) :]
        by_uncertainty = self.uncertainty.order(pool, labelled, seed).indices
        turns = _turns(of_pool, np.bincount(of_labelled, minlength=count), by_uncertainty)
        order = by_uncertainty[np.argsort(turns[by_uncertainty], kind="stable")]
        return Ranking.of(order, of_pool)


def _turns(groups: Array, taken: Array, order: Array) -> Array:
    """(n,) by image: its place among its group in this order, after the `taken` (groups,) that are labelled."""
    turns = np.empty(len(groups), np.int64)
    next_turn = taken.copy()
    for index in order:
        turns[index] = next_turn[groups[index]]
        next_turn[groups[index]] += 1
    return turns
