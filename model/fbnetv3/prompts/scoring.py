"""How well a candidate explains clicks: what can be seen of a mask without knowing the object.

A linear score of five measurements, whose weights were fitted to real labels (WEIGHTS). Its order is what counts.
"""

from __future__ import annotations

import cv2
import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.prompts.candidates import MaskCandidates

#: The value below which one click shows no mask: one in ten clicks on an object has less (its mask has an IoU of 0.2
#: in the mean), and half of the clicks on nothing that is labelled.
LEAST_VALUE = 0.4

#: How much each measurement counts: the fit of the mask to the clicks (mean log probability), the log of the class's
#: score, how far the clicks are from the middle of the box (0..0.5), how little of the mask depends on the threshold
#: (0..1), and its contrast.
WEIGHTS = np.array([3.8, 0.9, -14.0, 7.8, 7.7])

#: Thresholds beyond which a mask says nothing of a point any more.
LOWEST, HIGHEST = 0.2, 0.8

#: Side in pixels of the copies that contrast is measured in, and what they show around the box, as a share of it.
SIDE, MARGIN = 48, 0.25
#: Thickness in those pixels of what is compared: a ring outside of the mask.
RING = 2
#: Fewer pixels on one side of the edge say nothing of a contrast.
LEAST_PIXELS = 8
#: Added to the spread of the colours (CIELAB, 0..255 each), which noise and compression give every surface.
NOISE = 5.0


def measurements(thumbnail: Array, candidates: MaskCandidates, points: Array, positive: Array) -> Array:
    """(n, 5), by the names of WEIGHTS.

    `thumbnail`: the image at the network's size, (h, w, 3) uint8 CIELAB. `points` (k, 2) in its pixels, on the object
    where `positive` (k,) bool; one must be.
    """
    at = _probabilities(candidates, points)
    fit = np.log(np.where(positive, at, 1 - at).clip(1e-3, 1)).mean(1)
    low, high = candidates.boxes[:, None, :2], candidates.boxes[:, None, 2:]
    off_centre = np.abs((points[positive] - low) / (high - low) - 0.5).max(2).mean(1)
    stability = (candidates.masks >= 0.7).sum((1, 2)) / np.maximum((candidates.masks >= 0.3).sum((1, 2)), 1)
    contrast = [
        _contrast(thumbnail, box, mask) for box, mask in zip(candidates.boxes, candidates.masks, strict=True)
    ]
    return np.stack([fit, np.log(candidates.scores + 1e-3), off_centre, stability, np.array(contrast)], 1)


def thresholds(candidates: MaskCandidates, points: Array, positive: Array, usual: float) -> Array:
    """(n,): where to cut each mask so that it holds all positive points and no other; NaN where that cannot be.

    `usual`, wherever it does; else the nearest to it that does, from LOWEST to HIGHEST.
    """
    at = _probabilities(candidates, points)
    most = at[:, positive].min(1)
    least = np.nextafter(at[:, ~positive].max(1, initial=0.0), np.float32(1))
    chosen = np.minimum(np.maximum(usual, least), most)
    possible = (least <= most) & (most >= LOWEST) & (least <= HIGHEST)
    return np.where(possible, chosen, np.nan)


def _probabilities(candidates: MaskCandidates, points: Array) -> Array:
    """(n, k): what each mask says at each point; 0 outside of its box."""
    low, high = candidates.boxes[:, None, :2], candidates.boxes[:, None, 2:]
    side = candidates.masks.shape[-1]
    at = (points - low) / (high - low) * side
    inside = ((at >= 0) & (at < side)).all(2)
    cell = at.astype(int).clip(0, side - 1)
    every = np.arange(len(candidates.boxes))[:, None]
    return np.where(inside, candidates.masks[every, cell[..., 1], cell[..., 0]], 0)


def _contrast(thumbnail: Array, box: Array, mask: Array) -> float:
    """The distance between the colours of the mask and of a ring around it, in units of their spread."""
    copy = _copy(thumbnail, box).astype(np.float32)
    inside = _placed(mask) >= 0.5
    around = cv2.dilate(inside.astype(np.uint8), np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)).astype(bool)
    ring = around & ~inside
    if min(inside.sum(), ring.sum()) < LEAST_PIXELS:
        return 0.0
    object_colours, ring_colours = copy[inside], copy[ring]
    distance = np.linalg.norm(object_colours.mean(0) - ring_colours.mean(0))
    spread = np.sqrt(object_colours.var(0).sum()) + np.sqrt(ring_colours.var(0).sum())
    return float(distance / (spread + NOISE))


def _copy(thumbnail: Array, box: Array) -> Array:
    """(SIDE, SIDE, 3): the box with its margin; the image's edge is repeated outside."""
    low, side = box[:2] - MARGIN * (box[2:] - box[:2]), (1 + 2 * MARGIN) * (box[2:] - box[:2])
    scale = SIDE / side
    matrix = np.array([[scale[0], 0, -low[0] * scale[0]], [0, scale[1], -low[1] * scale[1]]], np.float32)
    return cv2.warpAffine(thumbnail, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def _placed(mask: Array) -> Array:
    """(SIDE, SIDE): the mask where the box is in the copy."""
    first, last = round(SIDE * MARGIN / (1 + 2 * MARGIN)), round(SIDE * (1 + MARGIN) / (1 + 2 * MARGIN))
    placed = np.zeros((SIDE, SIDE), np.float32)
    placed[first:last, first:last] = cv2.resize(mask, (last - first, last - first))
    return placed
