"""Edges that follow the image: a mask of 28 x 28 cells leaves steps on a large object.

GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004; OpenCV's) decides about the pixels that the network is unsure of,
by their colours, in a small copy of the object. Where it comes to something else than the network, the colours do not
tell object and background apart, and the network's mask stays. docs/smart-tools.md has what this gains.
"""

from __future__ import annotations

import cv2
import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask
from fbnetv3.overlap import mask_iou
from fbnetv3.pasting import paste_mask, sample_mask

#: The longer side of the copy in pixels: the time grows with its square, and more gains nothing.
SIDE = 96
#: Around the box, as a share of its longer side: background to learn colours from.
MARGIN = 0.2
#: Pixels that the network gives less, or more, are not in question, nor the colours' to decide.
SURELY_OUTSIDE, SURELY_INSIDE = 0.2, 0.8
ITERATIONS = 2
#: The IoU of the two masks below which the network's stays.
AGREEMENT = 0.8


def cut_mask(pixels: Array, probability: Array, box: Array, threshold: float, refine: bool) -> BoxMask:
    """The mask that `probability` (s, s), 0..1, inside `box` (4,) has at `threshold`, at the size of the image.

    `pixels` (H, W, 3) uint8 RGB; box x0, y0, x1, y1 in them. `refine`: put its edges on those of the image where
    colours tell them. The same input gives the same mask.
    """
    fine = _refined(pixels, probability, box, threshold) if refine else None
    return paste_mask(probability, box, pixels.shape[:2], threshold) if fine is None else fine


def _refined(pixels: Array, probability: Array, box: Array, threshold: float) -> BoxMask | None:
    """None where the colours do not help."""
    x0, y0, x1, y1 = window = _window(box, pixels.shape[:2])
    scale = min(1.0, SIDE / max(x1 - x0, y1 - y0))
    width, height = max(round((x1 - x0) * scale), 2), max(round((y1 - y0) * scale), 2)
    small = cv2.resize(pixels[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_AREA)
    shrink = np.array([width / (x1 - x0), height / (y1 - y0)] * 2)
    likely = sample_mask(probability, (box - np.array([x0, y0, x0, y0])) * shrink, (height, width))
    likely = _centred(likely, threshold)
    coarse = likely >= 0.5
    fine = _grab_cut(small, likely)
    if fine is None or mask_iou(BoxMask(0, 0, coarse), BoxMask(0, 0, fine)) < AGREEMENT:
        return None
    return _enlarged(fine, window)


def _window(box: Array, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The box with its margin, whole pixels of the image."""
    margin = MARGIN * (box[2:] - box[:2]).max()
    x0, y0 = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(box[2:] + margin), size[1::-1]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _centred(probability: Array, threshold: float) -> Array:
    """The same order, with one half where the threshold was: the odds divided by the threshold's."""
    return probability * (1 - threshold) / (probability * (1 - threshold) + (1 - probability) * threshold)


def _grab_cut(image: Array, likely: Array) -> Array | None:
    """(h, w) bool; None where there is too little of the object or of the background to learn colours from."""
    marks = np.where(likely >= 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[likely >= SURELY_INSIDE] = cv2.GC_FGD
    marks[likely < SURELY_OUTSIDE] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # it clusters the colours from a random start
    try:
        cv2.grabCut(image, marks, None, None, None, ITERATIONS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error:
        return None
    foreground: Array = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    return foreground


def _enlarged(mask: Array, window: tuple[int, int, int, int]) -> BoxMask:
    x0, y0, x1, y1 = window
    soft = cv2.resize(mask.astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return BoxMask(x0, y0, soft >= 0.5)
