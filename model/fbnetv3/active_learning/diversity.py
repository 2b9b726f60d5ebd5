"""Images first that look like nothing that is labelled: a core set of the pool.

The greedy k-centre method of Sener and Savarese (2018, arXiv 1708.00489) on the serving detector's pooled features:
always the image that is farthest from every image labelled or chosen before. Whatever looks odd comes early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.active_learning.clustering import squared_distances
from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking, shuffle
from fbnetv3.arrays import Array


@dataclass(frozen=True)
class Diversity:
    """Needs no detector that knows the labels, only features: it can order a pool before anything is labelled."""

    name = "diversity"
    compares_with_labelled = True

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy. Takes n steps over n images."""
        if not pool:
            return Ranking.of(np.zeros(0, np.int64))
        features = np.stack([image.pooled for image in pool])
        nearest = np.full(len(pool), np.inf)
        if len(labelled):
            nearest = squared_distances(features, labelled).min(1)
        return Ranking.of(_farthest_first(features, nearest, shuffle(len(pool), seed)))


def _farthest_first(features: Array, nearest: Array, shuffled: Array) -> Array:
    """(n,) order; `nearest` (n,) squared distances to what is labelled. Equally far ones come as shuffled."""
    features, nearest = features[shuffled].astype(np.float64), nearest[shuffled]
    squares = (features**2).sum(1)
    chosen: list[int] = []
    for _ in range(len(features)):
        farthest = int(nearest.argmax())
        chosen.append(farthest)
        distances = squares + squares[farthest] - 2 * (features @ features[farthest])
        nearest = np.minimum(nearest, distances.clip(0))
        nearest[chosen] = -1.0
    return shuffled[chosen]
