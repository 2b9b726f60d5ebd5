"""What a click may mean: the boxes that the network proposes there, and boxes of all sizes around the click itself.

The network proposes boxes for what it knows; for anything else the boxes around the click are the better half
(docs/smart-tools.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Encoded, Engine
from fbnetv3.overlap import non_maximum_suppression

#: Of the boxes around a click, in pixels of the network's input: root of the area, and height over width.
SIZES = (16, 24, 36, 54, 80, 120, 180, 270)
RATIOS = (0.5, 1.0, 2.0)
#: Two candidates that overlap more (IoU) are one.
SAME = 0.8
#: Of those proposed and of those around the click, the best scored: every one costs a mask.
MOST = 12
#: A narrower box, in pixels of the input, has no mask to speak of.
LEAST_SIDE = 2


@dataclass(frozen=True, eq=False)
class MaskCandidates:
    """n boxes (n, 4) in pixels of the network's input, with the class (n,), its score (n,) and its mask (n, s, s)."""

    boxes: Array
    classes: Array
    scores: Array
    masks: Array


def candidates_at(engine: Engine, encoded: Encoded, points: Array, classes: Sequence[int]) -> MaskCandidates:
    """The candidates whose box contains all points (k, 2), x, y in pixels of the input.

    `classes`: those that the object may have; of each box the likeliest one counts.
    """
    boxes, scores, of_class = candidate_boxes(engine, encoded, points, classes)
    return MaskCandidates(boxes, of_class, scores, engine.mask_probabilities(encoded, boxes, of_class))


def candidate_boxes(
    engine: Engine, encoded: Encoded, points: Array, classes: Sequence[int]
) -> tuple[Array, Array, Array]:
    """Their boxes (n, 4), scores (n,) and classes (n,)."""
    proposed = encoded.proposals[_contain(encoded.proposals, points)]
    groups = [
        _read(engine, encoded, boxes, points, classes) for boxes in (proposed, _around(points, encoded.size))
    ]
    boxes, scores, of_class = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    return boxes, scores, of_class


def _around(points: Array, size: tuple[int, int]) -> Array:
    """Boxes with the middle of the points in their own."""
    root, ratio = (grid.ravel() for grid in np.meshgrid(SIZES, np.sqrt(RATIOS)))
    half = np.stack([root / ratio, root * ratio], 1) / 2
    centre = points.mean(0)
    return _clipped(np.hstack([centre - half, centre + half]), size)


def _read(
    engine: Engine, encoded: Encoded, boxes: Array, points: Array, classes: Sequence[int]
) -> tuple[Array, Array, Array]:
    """Better boxes that still contain the points, their scores and classes, the best of those that differ."""
    if not len(boxes):
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    scores, better = engine.classify(encoded, boxes)
    chosen = np.array(classes, np.int64)[scores[:, classes].argmax(1)]
    every = np.arange(len(boxes))
    boxes, scores = _clipped(better[every, chosen], encoded.size), scores[every, chosen]
    keep = np.flatnonzero(_contain(boxes, points) & (boxes[:, 2:] - boxes[:, :2] > LEAST_SIDE).all(1))
    keep = keep[non_maximum_suppression(boxes[keep], scores[keep], SAME, MOST)]
    return boxes[keep], scores[keep], chosen[keep]


def _contain(boxes: Array, points: Array) -> Array:
    """(n,) bool: every point lies in the box."""
    inside = (points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])
    return np.asarray(inside.all((1, 2)))


def _clipped(boxes: Array, size: tuple[int, int]) -> Array:
    height, width = size
    return boxes.clip(0, np.array([width, height] * 2)).astype(np.float32)
