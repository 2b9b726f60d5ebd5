"""Two labels of one object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou, mask_iou

SAME_LABEL = 0.7
"""IoU from which two objects of one label are one: 1 pair among the 13,000 objects of nine public sets has as much."""

OTHER_LABEL = 0.9
"""IoU from which two objects of different labels may be one: 3 pairs among them have as much."""

WITH_TWO_LABELS = 0.5
"""Share of the confidence that is left where labels differ: some projects label a thing and its part, or its state."""


def duplicates(
    boxes: Array, classes: Array, masks: tuple[BoxMask, ...] | None
) -> Iterator[tuple[int, int, float]]:
    """Pairs of objects of one image that are probably one: indices, the lower first, and a confidence 0..1.

    `boxes` (n, 4), `classes` (n,). Where both masks are known they decide together with the boxes.
    """
    iou = np.triu(box_iou(boxes, boxes), 1)
    for first, second in np.argwhere(iou >= SAME_LABEL).tolist():
        same = classes[first] == classes[second]
        overlap = float(iou[first, second])
        if masks is not None and masks[first].area and masks[second].area:
            overlap = min(overlap, mask_iou(masks[first], masks[second]))
        if overlap >= (SAME_LABEL if same else OTHER_LABEL):
            yield first, second, overlap * (1.0 if same else WITH_TWO_LABELS)
