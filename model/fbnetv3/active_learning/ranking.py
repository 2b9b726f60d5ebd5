"""The order in which images are to be labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fbnetv3.arrays import Array


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of n images.

    `indices`: (n,) int64, which image comes at each place, the first to label first. `clusters`: (n,) int64, the
    group that each image belongs to, all 0 where a strategy makes none. `at_random`: (n,) bool, images whose place
    was drawn (with_random_share). The last two, as `scores`, are by image, not by place.
    """

    indices: Array
    clusters: Array
    at_random: Array

    @classmethod
    def of(cls, indices: Array, clusters: Array | None = None) -> Ranking:
        """Of an order alone; nothing in it is drawn."""
        count = len(indices)
        groups = np.zeros(count, np.int64) if clusters is None else np.asarray(clusters, np.int64)
        return cls(np.asarray(indices, np.int64), groups, np.zeros(count, bool))

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def scores(self) -> Array:
        """(n,) float64 by image, 0 <= score < 1, no two alike: its place divided by n, so the lowest comes first.

        A place and not a confidence, as clusters and drawn images put more into the order than one number per
        image could say.
        """
        scores = np.empty(len(self))
        scores[self.indices] = np.arange(len(self)) / max(len(self), 1)
        return scores


def by_urgency(urgency: Array, seed: int) -> Ranking:
    """The largest of (n,) values first. Equal ones come as in a shuffle of all, which is the random order."""
    shuffled = shuffle(len(urgency), seed)
    return Ranking.of(shuffled[np.argsort(-urgency[shuffled], kind="stable")])


def shuffle(count: int, seed: int) -> Array:
    """(count,) int64: the random order with this seed."""
    return np.random.default_rng(seed).permutation(count)


def with_random_share(ranking: Ranking, share: float, seed: int) -> Ranking:
    """The same order with `share` (0..1) of its places, evenly spread, given to images drawn from those still left.

    Images that a strategy picks are not like the others: figures from them alone mislead. At 0.1 the sixth place, the
    sixteenth and so on are drawn; the others keep their order. A random order stays as it is with the same seed.
    Raises ValueError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of random images must be within 0 and 1, not {share}")
    count = len(ranking)
    drawn_places = _drawn_places(count, share)
    by_chance, by_rank = iter(shuffle(count, seed).tolist()), iter(ranking.indices.tolist())
    placed: dict[int, bool] = {}
    for place in range(count):
        source = by_chance if place in drawn_places else by_rank
        placed[next(index for index in source if index not in placed)] = place in drawn_places
    at_random = np.zeros(count, bool)
    at_random[[index for index, is_drawn in placed.items() if is_drawn]] = True
    return replace(ranking, indices=np.array(list(placed), np.int64), at_random=at_random)


def _drawn_places(count: int, share: float) -> set[int]:
    """In the middle of each stretch of 1 / share places."""
    if not share:
        return set()
    places = np.floor((np.arange(count) + 0.5) / share).astype(np.int64)
    return set(places[places < count].tolist())
