"""How much two boxes or two masks overlap: intersection over union (IoU)."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask


def box_iou(ours: Array, theirs: Array) -> Array:
    """(n, 4) and (m, 4) boxes x0, y0, x1, y1 -> (n, m) intersection over union, 0..1."""
    size = np.minimum(ours[:, None, 2:], theirs[:, 2:]) - np.maximum(ours[:, None, :2], theirs[:, :2])
    shared = size.clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1) for boxes in (ours, theirs)]
    union = areas[0][:, None] + areas[1] - shared
    ratios: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratios


def mask_iou(ours: BoxMask, theirs: BoxMask) -> float:
    """Intersection over union of two masks of one image, 0..1; 0 where both are empty."""
    x0, y0 = max(ours.x, theirs.x), max(ours.y, theirs.y)
    x1, y1 = (min(a, b) for a, b in zip(_corner(ours), _corner(theirs), strict=True))
    shared = 0
    if x0 < x1 and y0 < y1:
        parts = [m.bitmap[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] for m in (ours, theirs)]
        shared = int((parts[0] & parts[1]).sum())
    union = ours.area + theirs.area - shared
    return shared / union if union else 0.0


def _corner(mask: BoxMask) -> tuple[int, int]:
    height, width = mask.bitmap.shape
    return mask.x + width, mask.y + height
