"""Groups of images that look alike: k-means on their pooled features."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array

#: Lloyd's steps; the groups hardly change after the first few.
STEPS = 20


def k_means(features: Array, count: int, seed: int) -> Array:
    """(n, d) -> (n,) int64, the group of each row, 0 to count - 1: Lloyd's method from k-means++ centres.

    No more groups than rows; a group may come out empty.
    """
    count = min(count, len(features))
    if count < 2:
        return np.zeros(len(features), np.int64)
    centres = features[k_means_plus_plus(features, count, np.random.default_rng(seed))]
    groups: Array = squared_distances(features, centres).argmin(1)
    for _ in range(STEPS):
        centres = np.stack(
            [features[groups == k].mean(0) if (groups == k).any() else centres[k] for k in range(count)]
        )
        moved = squared_distances(features, centres).argmin(1)
        if (moved == groups).all():
            break
        groups = moved
    return groups


def k_means_plus_plus(features: Array, count: int, random: np.random.Generator) -> Array:
    """(count,) rows drawn one after the other, each with the square of its distance to the nearest one before.

    Arthur and Vassilvitskii (2007).
    """
    chosen = [int(random.integers(len(features)))]
    nearest = squared_distances(features, features[chosen])[:, 0]
    while len(chosen) < count:
        total = nearest.sum()
        chances = nearest / total if total > 0 else None
        chosen.append(int(random.choice(len(features), p=chances)))
        nearest = np.minimum(nearest, squared_distances(features, features[chosen[-1:]])[:, 0])
    return np.array(chosen)


def squared_distances(ours: Array, theirs: Array) -> Array:
    """(n, d), (m, d) -> (n, m) float64."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    squares = (ours**2).sum(1)[:, None] - 2 * ours @ theirs.T + (theirs**2).sum(1)
    distances: Array = squares.clip(0)
    return distances
