"""What speaks for and against each label of an image: the network's losses on it, as a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Example
from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou, mask_iou, non_maximum_suppression
from fbnetv3.review.predictions import OutOfFold

SAME_OBJECT = 0.5
"""Box IoU from which a detection is on a labelled object, and from which two detections are of one object."""

TOUCHING = 0.1
"""Box IoU from which a detection may be the object that a label misses the place of."""

FLOOR = 1e-3
"""Of what a logarithm is taken: below it the network only says no."""


@dataclass(frozen=True, eq=False)
class OfObjects:
    """Of the m labelled objects of an image.

    `values` (m, 5): logarithms of the second stage's score for the label and for the best other one (its
    classification loss), logarithm of the IoU with the redrawn box (its box loss), IoU with the nearest proposal (the
    first stage's box loss), and how badly the best detection there fits, 0..1. `other` (m,): the best other label's
    class. `partner` (m,): that detection's index, -1 for none.
    """

    values: Array
    other: Array
    partner: Array


@dataclass(frozen=True, eq=False)
class OfDetections:
    """Of the k detections of an image that are on no labelled object, each object's best.

    `values` (k, 3): logarithm of the score, logarithm of 1 - the largest IoU with a labelled object, and the share
    of the box inside one of its label, as of a part that was found for a whole. `index` (k,): among the instances.
    """

    values: Array
    index: Array


def of_objects(example: Example, seen: OutOfFold) -> OfObjects:
    """See OfObjects."""
    rows = np.arange(len(example.boxes))
    others = seen.class_scores.copy()
    others[rows, example.classes] = 0
    other = others.argmax(1) if others.shape[1] else np.zeros(0, np.int64)
    redrawn = np.diagonal(box_iou(example.boxes, seen.redrawn))
    partner, misfit = _partners(example, seen)
    values = [
        _log(seen.class_scores[rows, example.classes]),
        _log(others[rows, other]),
        _log(redrawn),
        seen.proposal_iou,
        misfit,
    ]
    return OfObjects(np.stack(values, 1), other, partner)


def of_detections(example: Example, seen: OutOfFold) -> OfDetections:
    """See OfDetections."""
    found = seen.instances
    nearest = box_iou(found.boxes, example.boxes).max(1, initial=0.0)
    best = np.array(non_maximum_suppression(found.boxes, found.scores, SAME_OBJECT), np.int64)
    index = best[nearest[best] < SAME_OBJECT]
    same = found.classes[:, None] == example.classes
    inside = (_inside(found.boxes, example.boxes) * same).max(1, initial=0.0)
    values = np.stack([_log(found.scores), _log(1 - nearest), inside], 1)
    return OfDetections(values[index], index)


def _partners(example: Example, seen: OutOfFold) -> tuple[Array, Array]:
    """The detection that belongs to each object, -1 for none, and its score times how far the label is from it.

    A detection belongs to the object that it overlaps most. Where both masks are known, the worse of box and mask
    counts.
    """
    found, count = seen.instances, len(example.boxes)
    partner, misfit = np.full(count, -1), np.zeros(count)
    iou = box_iou(found.boxes, example.boxes)
    if not iou.size:
        return partner, misfit
    belongs = (iou.argmax(1)[:, None] == np.arange(count)) & (iou > TOUCHING)
    fit = np.where(belongs, found.scores[:, None] * iou, -1)
    for one in np.flatnonzero(belongs.any(0)):
        partner[one] = best = int(fit[:, one].argmax())
        overlap = iou[best, one]
        found_mask, labelled_mask = mask_of(found.masks, best), mask_of(example.masks, one)
        if found_mask is not None and labelled_mask is not None:
            overlap = min(overlap, mask_iou(found_mask, labelled_mask))
        misfit[one] = found.scores[best] * (1 - overlap)
    return partner, misfit


def mask_of(masks: tuple[BoxMask, ...] | None, index: int) -> BoxMask | None:
    """One of several masks, None where it is not known."""
    return masks[index] if masks is not None and masks[index].bitmap.any() else None


def _inside(boxes: Array, others: Array) -> Array:
    """(n, 4) and (m, 4) -> (n, m): the share of each box that lies inside each other one."""
    size = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    shares: Array = size.clip(0).prod(-1) / np.maximum(area, FLOOR)[:, None]
    return shares


def _log(values: Array) -> Array:
    logarithms: Array = np.log(np.clip(values, FLOOR, 1.0))
    return logarithms
