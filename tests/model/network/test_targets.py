"""Pixels and polygons of the same object give the same mask target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fbnetv3.network.targets import Bitmaps, Polygons, Target, TargetMasks

SIDE = 28
Rectangle = tuple[int, int, int, int]
#: Two rectangles x0, y0, x1, y1 whose edges fall on cells of the boxes below.
RECTANGLES: list[Rectangle] = [(8, 8, 40, 48), (20, 4, 28, 36)]


def bitmaps(rectangles: list[Rectangle], size: tuple[int, int] = (64, 80)) -> Bitmaps:
    pixels = torch.zeros(len(rectangles), *size, dtype=torch.bool)
    for i, (x0, y0, x1, y1) in enumerate(rectangles):
        pixels[i, y0:y1, x0:x1] = True
    return Bitmaps(pixels)


def polygons(rectangles: list[Rectangle]) -> Polygons:
    return Polygons(
        [[np.array([x0, y0, x1, y0, x1, y1, x0, y1], np.float64)] for x0, y0, x1, y1 in rectangles]
    )


def crop(masks: TargetMasks, *boxes: tuple[float, ...], of: int = 0, side: int = SIDE) -> Tensor:
    found = masks.crop(torch.tensor(boxes, dtype=torch.float32), torch.full((len(boxes),), of), side)
    assert found.shape == (len(boxes), side, side) and found.dtype == torch.bool
    return found


@pytest.mark.parametrize("of", [0, 1])
@pytest.mark.parametrize("box", [(0, 0, 56, 56), (8, 8, 36, 36), (12, 0, 40, 28), (4, 4, 60, 60)], ids=str)
def test_both_agree_on_rectangles(box: tuple[float, ...], of: int) -> None:
    pixels = crop(bitmaps(RECTANGLES), box, of=of)
    assert pixels.any()
    assert torch.equal(pixels, crop(polygons(RECTANGLES), box, of=of))


@given(
    st.tuples(st.integers(0, 38), st.integers(0, 30), st.integers(2, 40), st.integers(2, 32)),
    st.tuples(st.floats(-5, 40), st.floats(-5, 30), st.floats(8, 40), st.floats(8, 40)),
)
def test_both_agree_to_a_cell_anywhere(rectangle: Rectangle, region: tuple[float, ...]) -> None:
    """Only cells that the outline touches may differ: those within a cell of the rectangle's edges."""
    x, y, width, height = rectangle
    true = (x, y, x + width, y + height)
    left, top, across, down = region
    box = (left, top, left + across, top + down)
    differ = crop(bitmaps([true]), box) ^ crop(polygons([true]), box)
    rows, columns = (index.numpy() for index in differ[0].nonzero(as_tuple=True))
    cell_width, cell_height = across / SIDE, down / SIDE
    centre_x, centre_y = left + (columns + 0.5) * cell_width, top + (rows + 0.5) * cell_height
    # roi_align reads whole pixels bilinearly: half a pixel of blur comes on top of the cell.
    near_x = np.minimum(abs(centre_x - true[0]), abs(centre_x - true[2])) <= cell_width + 0.5
    near_y = np.minimum(abs(centre_y - true[1]), abs(centre_y - true[3])) <= cell_height + 0.5
    assert (near_x | near_y).all()


@pytest.mark.parametrize("masks", [bitmaps(RECTANGLES), polygons(RECTANGLES)], ids=["bitmaps", "polygons"])
class TestEveryForm:
    def test_an_object_fills_its_own_box(self, masks: TargetMasks) -> None:
        assert crop(masks, RECTANGLES[0]).all() and crop(masks, RECTANGLES[1], of=1).all()

    def test_a_box_beside_the_object_is_empty(self, masks: TargetMasks) -> None:
        assert not crop(masks, (50, 50, 60, 60)).any()

    def test_rows_are_vertical(self, masks: TargetMasks) -> None:
        """The box's upper half is above the object."""
        found = crop(masks, (8, -20, 40, 36))[0]
        assert not found[:14].any() and found[14:].all()

    def test_the_index_says_which_object(self, masks: TargetMasks) -> None:
        boxes = torch.tensor([RECTANGLES[0], RECTANGLES[1], RECTANGLES[0]], dtype=torch.float32)
        found = masks.crop(boxes, torch.tensor([0, 1, 1]), SIDE)
        assert found[0].all() and found[1].all() and 0 < found[2].sum() < SIDE * SIDE

    def test_no_boxes(self, masks: TargetMasks) -> None:
        found = masks.crop(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), SIDE)
        assert found.shape == (0, SIDE, SIDE) and found.dtype == torch.bool


def test_an_object_of_several_polygons_is_their_union() -> None:
    both = Polygons([[*polygons([(0, 0, 7, 28)]).outlines[0], *polygons([(21, 0, 28, 28)]).outlines[0]]])
    columns = crop(both, (0, 0, 28, 28))[0].all(0)
    assert columns[:7].all() and not columns[7:21].any() and columns[21:].all()


def test_an_image_without_objects_has_no_crops() -> None:
    found = Bitmaps(torch.zeros(0, 64, 64, dtype=torch.bool)).crop(
        torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), SIDE
    )
    assert found.shape == (0, SIDE, SIDE)


def test_which_masks_are_known() -> None:
    target = Target(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    assert target.mask_known.tolist() == [False, False]
    with_masks = replace(target, masks=Bitmaps(torch.zeros(2, 4, 4)))
    assert with_masks.mask_known.tolist() == [True, True]
    assert replace(with_masks, has_mask=torch.tensor([False, True])).mask_known.tolist() == [False, True]
