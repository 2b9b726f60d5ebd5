"""Which regions of several controls show one object, from boxes whose overlap is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.regions.labelled_objects import FoundObject, LabelledObject, join, merge
from prelabel.labelstudio.shapes import Box


def found(
    box: Box, index: int = 0, label: str = "disc", score: Any = None, mask: BoxMask | None = None
) -> FoundObject:
    return FoundObject(index, label, score, box, mask, (f"r{index}",))


def whole(x: int, y: int, width: int, height: int) -> BoxMask:
    return BoxMask(x, y, np.ones((height, width), bool))


LARGE: Box = (0, 0, 1000, 1000)


@pytest.mark.parametrize(("width", "objects"), [(900, 1), (899, 2)])
def test_boxes_that_overlap_by_nine_tenths_are_one_object(width: float, objects: int) -> None:
    assert len(merge([found(LARGE)], [found((0, 0, width, 1000), 1)])) == objects


@pytest.mark.parametrize(("right", "objects"), [(1101, 1), (1102, 2)])
def test_with_one_score_nine_tenths_of_a_small_box_inside_are_enough(right: float, objects: int) -> None:
    """A box 1,000 wide, 900 of them in the other one: its edge is let out by a pixel."""
    small = found((right - 1000, 10, right, 20), 1, score=0.5)
    assert len(merge([found(LARGE, score=0.5)], [small])) == objects
    assert len(merge([small], [found(LARGE, score=0.5)])) == objects
    assert len(merge([found(LARGE, score=0.6)], [small])) == 2
    assert len(merge([found(LARGE)], [found(small.box, 1)])) == 2, "no score is none in common"


def test_another_label_is_another_object() -> None:
    assert len(merge([found(LARGE)], [found(LARGE, 1, label="box")])) == 2


def test_boxes_that_only_touch_are_two_objects() -> None:
    assert len(merge([found((0, 0, 10, 10))], [found((10, 0, 20, 10), 1)])) == 2


def test_the_likest_are_joined_first_and_each_once() -> None:
    close, closer = found((0, 0, 960, 1000), 1), found((0, 0, 990, 1000), 2)
    merged = merge([found(LARGE)], [close, closer])
    assert [one.regions for one in merged] == [("r0", "r2"), ("r1",)]
    merged = merge([close, closer], [found(LARGE)])
    assert [one.regions for one in merged] == [("r1",), ("r2", "r0")]


def test_one_score_counts_more_than_a_closer_fit() -> None:
    close, closer = found((0, 0, 960, 1000), 1, score=0.5), found((0, 0, 990, 1000), 2, score=0.4)
    assert merge([found(LARGE, score=0.5)], [close, closer])[0].regions == ("r0", "r1")


def test_the_mask_is_of_the_exact_form_and_the_box_of_the_rectangle() -> None:
    mask = whole(2, 2, 96, 96)
    drawn, rectangle = found((2, 2, 98, 98), 5, score=0.5, mask=mask), found((0, 0, 99, 99), 3, score=0.5)
    [one] = merge([drawn], [rectangle])
    assert (one.mask, one.box, one.index, one.regions) == (mask, rectangle.box, 3, ("r5", "r3"))
    [one] = merge([rectangle], [drawn])
    assert (one.mask, one.box) == (mask, rectangle.box)


def test_pieces_make_one_mask_in_the_box_around_them() -> None:
    pieces = [
        found((2, 3, 6, 5), 0, score=0.5, mask=whole(2, 3, 4, 2)),
        found((10, 1, 13, 8), 1, mask=whole(10, 1, 3, 7)),
    ]
    one = join(pieces)
    assert (one.box, one.index, one.score, one.regions) == ((2, 1, 13, 8), 0, 0.5, ("r0", "r1"))
    expected = np.zeros((20, 20), bool)
    expected[3:5, 2:6] = expected[1:8, 10:13] = True
    assert one.mask is not None
    assert np.array_equal(one.mask.full((20, 20)), expected)
    assert join(pieces[:1]) is pieces[0]


@pytest.mark.parametrize(
    ("score", "kept"),
    [(0, 0.0), (1, 1.0), (0.5, 0.5), (-0.01, None), (1.01, None), ("0.5", None), (None, None)],
)
def test_a_score_is_a_number_between_0_and_1(score: Any, kept: float | None) -> None:
    assert LabelledObject.of(found(LARGE, score=score)).score == kept
