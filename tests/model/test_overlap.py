import numpy as np
import pytest

from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou, mask_iou


def test_of_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 20, 20]], np.float32)
    expected = [[1, 25 / 175, 0], [25 / 175, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_of_masks_as_of_full_bitmaps(seed: int):
    rng = np.random.default_rng(seed)
    full = np.zeros((2, 30, 40), bool)
    for bitmap in full:
        y, x = rng.integers(0, 15, 2)
        bitmap[y : y + 12, x : x + 20] = rng.random((12, 20)) < 0.7
    ours, theirs = (BoxMask.from_full(bitmap) for bitmap in full)
    expected = (full[0] & full[1]).sum() / (full[0] | full[1]).sum()
    assert mask_iou(ours, theirs) == pytest.approx(expected)


def test_of_masks_apart_and_empty():
    here, there = (BoxMask(x, 0, np.ones((5, 5), bool)) for x in (0, 10))
    empty = BoxMask(0, 0, np.zeros((0, 0), bool))
    assert mask_iou(here, there) == mask_iou(empty, empty) == 0
