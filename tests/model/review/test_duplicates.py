"""Pairs of labels that are probably one object, from boxes and masks whose overlap is known."""

from __future__ import annotations

import numpy as np
import pytest

from fbnetv3.instances import BoxMask
from fbnetv3.review.duplicates import duplicates


def pair(iou: float, *labels: int, masks: tuple[BoxMask, ...] | None = None) -> list[tuple[int, int, float]]:
    """What is said of two boxes, one inside the other, with this IoU."""
    boxes = np.array([(0, 0, 100, 100), (0, 0, 100, 100 * iou)], np.float32)
    return list(duplicates(boxes, np.array(labels), masks))


def columns(count: int) -> BoxMask:
    """The left `count` columns of a hundred."""
    return BoxMask(0, 0, np.ones((100, count), bool))


def test_two_labels_leave_half_of_the_confidence() -> None:
    assert pair(1.0, 0, 0) == [(0, 1, 1.0)]
    assert pair(1.0, 0, 1) == [(0, 1, 0.5)]


@pytest.mark.parametrize(("labels", "least"), [((0, 0), 0.7), ((0, 1), 0.9)])
def test_objects_with_two_labels_must_overlap_more(labels: tuple[int, int], least: float) -> None:
    assert pair(least + 0.01, *labels)
    assert not pair(least - 0.01, *labels)


def test_masks_decide_together_with_the_boxes() -> None:
    """The smaller of the two overlaps counts, and a mask that is not known says nothing."""
    unknown = BoxMask(0, 0, np.zeros((0, 0), bool))
    assert pair(1.0, 0, 0, masks=(columns(100), columns(80))) == [(0, 1, pytest.approx(0.8))]
    assert pair(0.75, 0, 0, masks=(columns(100), columns(80))) == [(0, 1, pytest.approx(0.75))]
    assert not pair(1.0, 0, 0, masks=(columns(100), columns(60)))
    assert pair(1.0, 0, 0, masks=(columns(100), unknown)) == [(0, 1, 1.0)]
    assert pair(1.0, 0, 0, masks=(unknown, columns(100))) == [(0, 1, 1.0)]
