"""A drawn box to a mask: the mask head on that very box, cut so that the object reaches all four sides.

The bounding box prior (Lempitsky et al., Image Segmentation with a Bounding Box Prior, ICCV 2009), here as the choice
of the threshold that a mask is cut at: a network that is unsure of an object, because it never saw its like, is unsure
of all its pixels, and at one half would lose most of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Engine
from fbnetv3.image_features import ImageFeatures

#: Thresholds to choose from: at 0.1 nearly everything is object.
THRESHOLDS = np.arange(0.1, 0.51, 0.05)

#: What a threshold lower by 1 must add to the share of the box that the object spans. Chosen on
#: coco_val_dev50 and five other sets (docs/smart-tools.md): without it, boxes drawn loosely are filled.
RELUCTANCE = 0.6

#: Steps between the cells of a mask in which its extent is measured.
STEPS = 4


@dataclass(frozen=True, eq=False)
class SoftMask:
    """What a prompt comes to before it is a mask of the image: `probability` (s, s), 0..1, of the pixels inside `box`
    (4,), x0, y0, x1, y1 in pixels of the image, to be cut at `threshold`.
    """

    box: Array
    class_index: int
    probability: Array
    threshold: float

    @property
    def score(self) -> float:
        """How sure the network is of the pixels that it sets, 0..1; 0 where it sets none."""
        chosen = self.probability[self.probability >= self.threshold]
        return float(chosen.mean()) if len(chosen) else 0.0


def read_box(engine: Engine, features: ImageFeatures, box: Array, classes: Sequence[int]) -> SoftMask:
    """The object in a box (4,), x0, y0, x1, y1 in pixels of the image; `classes`: those that it may have.

    Moving the box to where the box head would have it makes masks worse (docs/smart-tools.md): a person is nearer.
    """
    roi = (box / features.scale).astype(np.float32)[None]
    scores, _ = engine.classify(features.encoded, roi)
    index = classes[int(scores[0, classes].argmax())]
    [probability] = engine.mask_probabilities(features.encoded, roi, np.array([index]))
    return SoftMask(box, index, probability, threshold_in_box(probability))


def threshold_in_box(probability: Array) -> float:
    """Where to cut a mask (s, s), 0..1, that covers a drawn box: at most one half, lower if it then fills the box."""
    spans = _spans(probability.max(1)) * _spans(probability.max(0))
    return float(THRESHOLDS[np.argmax(spans + RELUCTANCE * THRESHOLDS)])


def _spans(profile: Array) -> Array:
    """The share of one side that the mask spans at every threshold; `profile` (s,): the largest value across it."""
    cells = len(profile)
    at = (np.arange(cells * STEPS) + 0.5) / STEPS - 0.5
    above = np.interp(at, np.arange(cells), profile) >= THRESHOLDS[:, None]
    first = above.argmax(1)
    last = above.shape[1] - above[:, ::-1].argmax(1)
    return np.where(above.any(1), last - first, 0) / above.shape[1]
