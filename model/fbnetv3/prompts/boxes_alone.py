"""Prompts for a network without masks: a box that fits better than what was drawn, or the box of what was clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Engine
from fbnetv3.image_features import ImageFeatures
from fbnetv3.prompts.candidates import candidate_boxes


class FoundBox(NamedTuple):
    """A box (4,) in pixels of the image, its class and its score."""

    box: Array
    class_index: int
    score: float


def in_box(engine: Engine, features: ImageFeatures, box: Array, classes: Sequence[int]) -> FoundBox:
    """Halfway between the drawn box and what the box head makes of it: nearer than either (docs/smart-tools.md)."""
    roi = (box / features.scale).astype(np.float32)
    scores, better = engine.classify(features.encoded, roi[None])
    index = classes[int(scores[0, classes].argmax())]
    height, width = features.encoded.size
    fitted = better[0, index].clip(0, np.array([width, height] * 2))
    return FoundBox((roi + fitted) / 2 * features.scale, index, float(scores[0, index]))


def at_points(
    engine: Engine, features: ImageFeatures, points: Array, positive: Array, classes: Sequence[int]
) -> FoundBox | None:
    """The likeliest box that contains all positive clicks and no other."""
    clicks = points / features.scale[:2]
    boxes, scores, of_class = candidate_boxes(engine, features.encoded, clicks[positive], classes)
    inside = ((clicks >= boxes[:, None, :2]) & (clicks <= boxes[:, None, 2:])).all(2)
    usable = np.flatnonzero((inside == positive).all(1))
    if not len(usable):
        return None
    best = usable[scores[usable].argmax()]
    return FoundBox(boxes[best] * features.scale, int(of_class[best]), float(scores[best]))
