import numpy as np
import pytest

from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou, mask_iou, non_maximum_suppression


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


class TestNonMaximumSuppression:
    BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 5]], np.float32)

    @pytest.mark.parametrize(
        ("scores", "limit", "kept"),
        [
            ([0.9, 0.8, 0.7, 0.6], 0.95, [0, 1, 2, 3]),
            ([0.9, 0.8, 0.7, 0.6], 0.9, [0, 2, 3]),
            ([0.9, 0.8, 0.7, 0.6], 0.5, [0, 2]),
            ([0.6, 0.7, 0.8, 0.9], 0.5, [3, 2]),
            ([0.5, 0.5, 0.5, 0.5], 0.5, [0, 2]),
        ],
    )
    def test_keeps_the_best_of_those_that_overlap(self, scores: list[float], limit: float, kept: list[int]):
        assert non_maximum_suppression(self.BOXES, np.array(scores), limit) == kept

    def test_only_so_many(self):
        assert non_maximum_suppression(self.BOXES, np.array([0.6, 0.7, 0.8, 0.9]), 0.95, most=2) == [3, 2]

    def test_of_none(self):
        assert non_maximum_suppression(np.zeros((0, 4)), np.zeros(0), 0.5) == []
