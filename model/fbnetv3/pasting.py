"""An instance's small mask stretched over its box in the image."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask

#: Multiply-adds of one matrix product. OpenBLAS starts threads for more than 262,144 (its
#: GEMM_MULTITHREAD_THRESHOLD, 4, times 65,536); they would hold up the network's, and twentyfold themselves.
SINGLE_THREADED = 262_144


def paste_mask(probability: Array, box: Array, size: tuple[int, int], threshold: float) -> BoxMask:
    """Sample a mask at every pixel centre near its box and cut it at the threshold.

    probability (s, s), 0..1, covers `box` (4,), in pixels of an image of `size` (height, width). Sampling is
    bilinear, zero outside, as in detectron2's mask_ops.py. It is separable, so that it is two products with
    small matrices; a few rows at a time, they stay in one thread and in the cache.
    """
    height, width = size
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(box[2:]).astype(int) + 1, (width, height))
    rows = _weights(y0, y1, box[1], box[3], probability.shape[0])
    columns = np.ascontiguousarray(_weights(x0, x1, box[0], box[2], probability.shape[1]).T)
    bitmap = np.empty((len(rows), columns.shape[1]), bool)
    step = max(SINGLE_THREADED // max(columns.size, probability.size), 1)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        np.greater_equal(rows[block] @ probability @ columns, threshold, out=bitmap[block])
    return BoxMask(int(x0), int(y0), bitmap)


def sample_mask(probability: Array, box: Array, size: tuple[int, int]) -> Array:
    """The same sampling at every pixel of a small image of `size` (height, width): (height, width) float32, not cut."""
    rows = _weights(0, size[0], box[1], box[3], probability.shape[0])
    columns = _weights(0, size[1], box[0], box[2], probability.shape[1])
    return (rows @ probability @ columns.T).astype(np.float32)


def _weights(start: int, stop: int, low: float, high: float, count: int) -> Array:
    """(stop - start, count): the share of each of `count` cells between low and high in each pixel's sample."""
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    positions = (centres - low) / (high - low) * count - np.float32(0.5)
    shares: Array = np.maximum(1 - np.abs(positions[:, None] - np.arange(count, dtype=np.float32)), 0)
    return shares
