"""Images first that stand for many others: those that a few labels generalise from.

Greedy facility location (Mirchandani and Francis 1990; as a way to choose training data: Wei, Iyer and Bilmes 2015) on
the serving detector's pooled features: always the image that is most like the many that nothing labelled or chosen
before is like. While labels are few, typical images teach more than uncertain ones (Hacohen, Dekel and Weinshall 2022,
arXiv 2202.02794); an odd one counts for itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fbnetv3.active_learning.clustering import squared_distances
from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking, shuffle
from fbnetv3.arrays import Array


@dataclass(frozen=True)
class Representative:
    """Like Diversity it can order a pool before anything is labelled. `neighbours`: of an image, that are like it; how
    far away they are sets the scale of likeness. `places`: that are chosen one by one; the rest comes as shuffled, far
    behind what anybody labels before the next order.
    """

    neighbours: int = 5
    places: int = 200

    name = "representative"
    compares_with_labelled = True

    def worth(self, image: PoolImage) -> float:
        """How much it counts, from 0 on, that the image is like one that is chosen; alike where all are 0."""
        return 1.0

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy. Takes `places` steps over all pairs of images."""
        if not pool:
            return Ranking.of(np.zeros(0, np.int64))
        shuffled = shuffle(len(pool), seed)
        features = np.stack([pool[index].pooled for index in shuffled])
        worths = np.array([self.worth(pool[index]) for index in shuffled])
        worths = worths if worths.any() else np.ones(len(pool))
        distances = squared_distances(features, features)
        scale = self._scale(distances)
        covered = np.zeros(len(pool))
        if len(labelled):
            covered = _likeness(squared_distances(features, labelled), scale).max(1)
        chosen = _greedy(_likeness(distances, scale), worths, covered, self.places)
        rest = np.setdiff1d(np.arange(len(pool)), chosen)
        return Ranking.of(shuffled[np.concatenate([chosen, rest])])

    def _scale(self, distances: Array) -> float:
        """The median of the squared distances to the neighbours; above 0."""
        farthest = min(self.neighbours, len(distances) - 1)
        near = np.partition(distances, farthest, axis=1)[:, farthest]
        return max(float(np.median(near)), np.finfo(float).tiny)


@dataclass(frozen=True)
class RepresentativeEdits(Representative):
    """Images first that stand for much editing: like many others whose pre-labels a person would edit long.

    A typical image counts as much as there is to be done in the images that it is like. While the detector knows none
    of the labels there is nothing to expect, and all images count the same. `edits`: what expects the seconds.
    """

    edits: ExpectedEdits = field(default_factory=ExpectedEdits)

    name = "representative_edits"

    def worth(self, image: PoolImage) -> float:
        """The seconds."""
        return self.edits.seconds(image)


def _likeness(distances: Array, scale: float) -> Array:
    """Squared distances -> 0..1; what is far away counts for nothing, however far."""
    return np.exp(-distances / scale)


def _greedy(likeness: Array, worths: Array, covered: Array, places: int) -> Array:
    """The first places: each the row that adds most to the sum of `covered` (n,), weighted, given those before."""
    chosen: list[int] = []
    for _ in range(min(places, len(covered))):
        gains = (likeness - covered).clip(0) @ worths
        gains[chosen] = -1.0
        best = int(gains.argmax())
        chosen.append(best)
        covered = np.maximum(covered, likeness[best])
    return np.array(chosen, np.int64)
