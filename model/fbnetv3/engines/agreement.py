"""Whether two engines find the same in the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.instances import Instances
from fbnetv3.overlap import mask_iou

#: How far two engines may differ and still agree: pixels of the image, score, mask IoU.
BOX_LIMIT, SCORE_LIMIT, MASK_LIMIT = 0.1, 1e-3, 0.995
#: The share of instances that must agree: where two overlap by exactly the limit, a rounding decides which stays.
LEAST_SHARE = 0.98


@dataclass(frozen=True)
class Agreement:
    """Of `count` instances, the share that both engines found, and how far these differ at most."""

    count: int
    share: float
    box: float
    score: float
    mask_iou: float

    @property
    def disagreement(self) -> str | None:
        """What is wrong, in words; None when the engines agree."""
        if not self.count:
            return "nothing was found that could be compared"
        if self.share >= LEAST_SHARE:
            return None
        return f"only {self.share:.1%} of {self.count} instances are the same in both engines"


def compare(found: Sequence[Instances], expected: Sequence[Instances]) -> Agreement:
    """The instances of the same images, image by image, by one engine and by the other."""
    differences = [
        _best(found_one, expected_one, i)
        for found_one, expected_one in zip(found, expected, strict=True)
        for i in range(len(expected_one))
    ]
    count = max(len(differences), sum(map(len, found)))
    same = [
        one for one in differences if one[0] <= BOX_LIMIT and one[1] <= SCORE_LIMIT and one[2] >= MASK_LIMIT
    ]
    box, score, iou = np.array(same or [(0.0, 0.0, 1.0)]).T
    return Agreement(count, len(same) / max(count, 1), float(box.max()), float(score.max()), float(iou.min()))


def _best(found: Instances, expected: Instances, index: int) -> tuple[float, float, float]:
    """(box, score, mask IoU) between an expected instance and the nearest found one of its class."""
    candidates = np.flatnonzero(found.classes == expected.classes[index])
    if not len(candidates):
        return np.inf, np.inf, 0.0
    distances = np.abs(found.boxes[candidates] - expected.boxes[index]).max(1)
    nearest = candidates[distances.argmin()]
    score = abs(float(found.scores[nearest]) - float(expected.scores[index]))
    return float(distances.min()), score, _mask_iou(found, nearest, expected, index)


def _mask_iou(found: Instances, i: int, expected: Instances, j: int) -> float:
    if found.masks is None or expected.masks is None:
        return float(found.masks is expected.masks)
    found_mask, expected_mask = found.masks[i], expected.masks[j]
    return mask_iou(found_mask, expected_mask) if found_mask.area or expected_mask.area else 1.0
