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
#: Squares of larger values overflow, and no network that works gives any: OpenCV does not converge on them.
LARGEST = 1e6
#: OpenCV's generator takes seeds below this.
SEEDS = 2**31


def k_means(features: Array, count: int, seed: int) -> Array:
    """(n, d) -> (n,) int64, the group of each row, 0 to count - 1: k-means of float32, by OpenCV.

    No more groups than different rows; what is no number counts as 0. The same rows and seed give the same groups, in
    any thread and with any number of them: OpenCV's generator is the thread's own.
    """
    rows = np.nan_to_num(features, nan=0.0).clip(-LARGEST, LARGEST).astype(np.float32)
    count = min(count, len(np.unique(rows, axis=0)))
    if count < 2:
        return np.zeros(len(features), np.int64)
    cv2.setRNGSeed(seed % SEEDS)
    enough = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, STEPS, SETTLED)
    _, groups, _ = cv2.kmeans(rows, count, np.empty(0, np.int32), enough, STARTS, cv2.KMEANS_PP_CENTERS)
    return groups[:, 0].astype(np.int64)


def squared_distances(first: Array, second: Array) -> Array:
    """(n, d), (m, d) -> (n, m) float64."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = (first**2).sum(1)[:, None] - 2 * first @ second.T + (second**2).sum(1)
    distances: Array = squares.clip(0)
    return distances
