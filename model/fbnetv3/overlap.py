"""How much two boxes or two masks overlap: intersection over union (IoU), and boxes without those that overlap."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask


def box_iou(first: Array, second: Array) -> Array:
    """(n, 4) and (m, 4) boxes x0, y0, x1, y1 -> (n, m) intersection over union, 0..1."""
    size = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    shared = size.clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    ratios: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratios


def non_maximum_suppression(boxes: Array, scores: Array, limit: float, most: int | None = None) -> list[int]:
    """Indices of the best of boxes (n, 4), best first, none with an IoU of `limit` or more with a better one.

    `scores` (n,); of equal ones the first is the better. `most`: no more than so many. The networks have their own,
    per class and without all pairs: torchvision's, and ONNX's in the exported graphs.
    """
    same = box_iou(boxes, boxes) >= limit
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if len(kept) == most:
            break
        if not same[index, kept].any():
            kept.append(index)
    return kept


def mask_iou(first: BoxMask, second: BoxMask) -> float:
    """Intersection over union of two masks of one image, 0..1; 0 where both are empty."""
    x0, y0 = max(first.x, second.x), max(first.y, second.y)
    x1, y1 = (min(a, b) for a, b in zip(_corner(first), _corner(second), strict=True))
    shared = 0
    if x0 < x1 and y0 < y1:
        parts = [m.bitmap[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] for m in (first, second)]
        shared = int((parts[0] & parts[1]).sum())
    union = first.area + second.area - shared
    return shared / union if union else 0.0


def _corner(mask: BoxMask) -> tuple[int, int]:
    height, width = mask.bitmap.shape
    return mask.x + width, mask.y + height
