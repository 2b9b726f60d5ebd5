"""A pasted mask is what bilinear sampling at the pixel centres gives, as the original does it with grid_sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fbnetv3.pasting import paste_mask

Box = tuple[float, float, float, float]

corners = st.floats(0, 1, width=32)
sides = st.integers(1, 40)


def sampled(probability: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """detectron2's mask_ops.py: (height, width) float64, 0 from one pixel around the box on."""
    low, high = (torch.from_numpy(box[i : i + 2].astype(np.float64)) for i in (0, 2))
    columns, rows = (
        (torch.arange(side, dtype=torch.float64) + 0.5 - low[axis]) / (high - low)[axis] * 2 - 1
        for axis, side in enumerate((size[1], size[0]))
    )
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
    mask = torch.from_numpy(probability.astype(np.float64))
    everywhere = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0].numpy()
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    x1, y1 = np.ceil(box[2:]).astype(int).clip(-1) + 1
    near = np.zeros(size, bool)
    near[y0:y1, x0:x1] = True
    return np.where(near, everywhere, 0)


def check(
    box: np.ndarray, size: tuple[int, int], side: int = 28, threshold: float = 0.5, seed: int = 0
) -> np.ndarray:
    """Compare every pixel but those that lie on the threshold; what was pasted, at the size of the image."""
    probability = np.random.default_rng(seed).random((side, side), np.float32)
    pasted = paste_mask(probability, box.astype(np.float32), size, threshold)
    assert pasted.bitmap.dtype == bool and pasted.x >= 0 and pasted.y >= 0
    found, expected = pasted.full(size), sampled(probability, box.astype(np.float32), size)
    sure = np.abs(expected - threshold) > 1e-4
    assert np.array_equal(found[sure], (expected >= threshold)[sure])
    return found


@given(
    a=st.tuples(corners, corners),
    b=st.tuples(corners, corners),
    size=st.tuples(sides, sides),
    side=st.sampled_from([2, 8, 28]),
    threshold=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
@example(a=(0.0, 0.0), b=(1.0, 1.0), size=(1, 1), side=28, threshold=0.5, seed=0)
@example(a=(0.2, 0.4), b=(0.201, 0.401), size=(40, 40), side=28, threshold=0.05, seed=1)
@settings(max_examples=300)
def test_boxes_inside_the_image(
    a: tuple[float, float],
    b: tuple[float, float],
    size: tuple[int, int],
    side: int,
    threshold: float,
    seed: int,
) -> None:
    """Of every size from a thousandth of a pixel to the whole image, down to images of one pixel."""
    corner = np.array([size[1], size[0]] * 2)
    low, high = np.minimum(a, b), np.maximum(a, b)
    box = np.concatenate([low, np.maximum(high, low + 1e-3)]) * corner
    check(box, size, side, threshold, seed)


@pytest.mark.parametrize(
    "box",
    [
        (-10.0, -7.5, 20.2, 12.0),
        (30.0, 25.0, 75.5, 60.25),
        (-30.0, -30.0, 100.0, 90.0),
        (-20.0, 5.5, -0.5, 9.0),
        (3.0, 4.0, 4.0, 5.0),
        (0.0, 0.0, 50.0, 40.0),
    ],
)
def test_boxes_over_the_border_and_on_pixel_edges(box: Box) -> None:
    check(np.array(box), (40, 50))


def test_a_full_mask_fills_its_box_and_an_empty_one_nothing() -> None:
    box, size = np.array([4, 5, 14, 25], np.float32), (30, 20)
    full = paste_mask(np.ones((28, 28), np.float32), box, size, 0.5)
    expected = np.zeros(size, bool)
    expected[5:25, 4:14] = True
    assert np.array_equal(full.full(size), expected)
    assert paste_mask(np.zeros((28, 28), np.float32), box, size, 0.5).area == 0


def test_only_pixels_near_the_box_are_kept() -> None:
    pasted = paste_mask(
        np.ones((28, 28), np.float32), np.array([100.5, 200, 130, 210.5], np.float32), (4000, 3000), 0.5
    )
    assert (pasted.x, pasted.y) == (99, 199) and pasted.bitmap.shape == (13, 32)


def test_the_threshold_itself_is_in() -> None:
    pasted = paste_mask(np.full((4, 4), 0.5, np.float32), np.array([0, 0, 4, 4], np.float32), (4, 4), 0.5)
    assert pasted.area == 16
