"""What a drawn box says of its object: that it reaches all four sides.

The bounding box prior (Lempitsky et al., Image Segmentation with a Bounding Box Prior, ICCV 2009), here as the choice
of the threshold that a mask is cut at: a network that is unsure of an object, because it never saw its like, is unsure
of all its pixels, and at one half would lose most of them.
"""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array

#: Thresholds to choose from: at 0.1 nearly everything is object.
THRESHOLDS = np.arange(0.1, 0.51, 0.05)

#: What a threshold lower by 1 must add to the share of the box that the object spans. Chosen on
#: coco_val_dev50 and five other sets (docs/smart-tools.md): without it, boxes drawn loosely are filled.
RELUCTANCE = 0.6

#: Steps between the cells of a mask in which its extent is measured.
STEPS = 4


def threshold_in_box(probability: Array) -> float:
    """Where to cut a mask (s, s), 0..1, that covers a drawn box: at most one half, lower if it then fills the box."""
    spans = _spans(probability.max(1)) * _spans(probability.max(0))
    return float(THRESHOLDS[np.argmax(spans + RELUCTANCE * THRESHOLDS)])


def _spans(profile: Array) -> Array:
    """The share of one side that the mask spans at every threshold; `profile` (s,): the largest value across it."""
    cells = len(profile)
    places = (np.arange(cells * STEPS) + 0.5) / STEPS - 0.5
    above = np.interp(places, np.arange(cells), profile) >= THRESHOLDS[:, None]
    first = above.argmax(1)
    last = above.shape[1] - above[:, ::-1].argmax(1)
    return np.where(above.any(1), last - first, 0) / above.shape[1]
