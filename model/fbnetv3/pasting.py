"""A region's small mask stretched over its box in the image."""

from __future__ import annotations

import numpy as np

from fbnetv3.instances import BoxMask


def paste_mask(probability: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float) -> BoxMask:
    """Sample a mask at every pixel centre near its box and cut it at the threshold.

    probability (s, s), 0..1, covers `box` (4,), in pixels of an image of `size` (height, width). Sampling is
    bilinear, zero outside, as in detectron2's mask_ops.py. It is separable, so that it is two products with
    small matrices: s multiply-adds per pixel, in the time of a matrix product.
    """
    height, width = size
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(box[2:]).astype(int) + 1, (width, height))
    rows = _weights(y0, y1, box[1], box[3], probability.shape[0])
    columns = _weights(x0, x1, box[0], box[2], probability.shape[1])
    return BoxMask(int(x0), int(y0), rows @ probability @ columns.T >= threshold)


def _weights(start: int, stop: int, low: float, high: float, count: int) -> np.ndarray:
    """(stop - start, count): the share of each of `count` cells between low and high in each pixel's sample."""
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    places = (centres - low) / (high - low) * count - np.float32(0.5)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(count, dtype=np.float32)), 0)
