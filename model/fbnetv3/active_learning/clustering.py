"""Groups of images that look alike: k-means on their pooled features."""

from __future__ import annotations

import cv2
import numpy as np

from fbnetv3.arrays import Array

#: Of starts, each from other k-means++ centres, the one whose groups are tightest counts: of 30 groups that are clearly
#: apart, one start in twenty misses some, three hardly ever do.
STARTS = 3
#: Lloyd's steps per start, and the movement of the centres that ends them; little changes after the first few.
STEPS, SETTLED = 20, 1e-4
#: OpenCV's generator takes seeds below this.
SEEDS = 2**31


def k_means(features: Array, count: int, seed: int) -> Array:
    """(n, d) -> (n,) int64, the group of each row, 0 to count - 1: k-means of float32, by OpenCV.

    No more groups than different rows. The same rows and seed give the same groups, in any thread and with any number
    of them: OpenCV's generator is the thread's own.
    """
    count = min(count, len(np.unique(features, axis=0)))
    if count < 2:
        return np.zeros(len(features), np.int64)
    cv2.setRNGSeed(seed % SEEDS)
    enough = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, STEPS, SETTLED)
    rows, none = np.ascontiguousarray(features, np.float32), np.empty(0, np.int32)
    _, groups, _ = cv2.kmeans(rows, count, none, enough, STARTS, cv2.KMEANS_PP_CENTERS)
    return groups[:, 0].astype(np.int64)


def squared_distances(ours: Array, theirs: Array) -> Array:
    """(n, d), (m, d) -> (n, m) float64."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    squares = (ours**2).sum(1)[:, None] - 2 * ours @ theirs.T + (theirs**2).sum(1)
    distances: Array = squares.clip(0)
    return distances
