"""Edges on pictures whose objects are known to the pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fbnetv3.detector import Detector
from fbnetv3.edges import cut_mask
from fbnetv3.pasting import paste_mask, sample_mask
from fbnetv3.scenes import generate_scene

SIZE = (400, 500)
BOX = np.array([100, 80, 380, 330], np.float32)


def disc() -> np.ndarray:
    """(H, W) bool: an ellipse that fills BOX."""
    canvas = np.zeros(SIZE, np.uint8)
    cv2.ellipse(canvas, (240, 205), (140, 125), 0, 0, 360, 1, -1)
    return canvas.astype(bool)


def picture(inside: tuple[int, ...], outside: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(0).integers(-12, 13, (*SIZE, 3))
    return (np.where(disc()[..., None], inside, outside) + noise).clip(0, 255).astype(np.uint8)


def unsure(shift: int = 0) -> np.ndarray:
    """What a network says of the disc: 28 x 28, its edge soft and `shift` cells too far to the right."""
    rows, columns = np.mgrid[:28, :28] + 0.5
    distance = np.hypot((columns - 14 - shift) / 14, (rows - 14) / 14)
    return (1 / (1 + np.exp((distance - 0.95) * 8))).astype(np.float32)


def box_area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def iou(mask: np.ndarray) -> float:
    return float((mask & disc()).sum() / (mask | disc()).sum())


def test_edges_move_to_those_of_the_image() -> None:
    image = picture((200, 60, 50), (60, 120, 90))
    coarse, fine = (cut_mask(image, unsure(1), BOX, 0.5, refine).full(SIZE) for refine in (False, True))
    assert iou(coarse) < 0.9 < 0.95 < iou(fine)


def test_where_colours_tell_nothing_the_networks_mask_stays() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    coarse, fine = (cut_mask(image, unsure(), BOX, 0.5, refine).full(SIZE) for refine in (False, True))
    assert (coarse & fine).sum() / (coarse | fine).sum() >= 0.8


def test_unrefined_it_is_the_pasted_mask() -> None:
    image = picture((200, 60, 50), (60, 120, 90))
    cut, pasted = cut_mask(image, unsure(), BOX, 0.4, False), paste_mask(unsure(), BOX, SIZE, 0.4)
    assert np.array_equal(cut.full(SIZE), pasted.full(SIZE))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_of_one_value_is_kept(value: float) -> None:
    """There is nothing to learn one of the two colours from."""
    probability = np.full((28, 28), value, np.float32)
    image = picture((200, 60, 50), (60, 120, 90))
    whole = np.array([0, 0, SIZE[1], SIZE[0]], np.float32)
    for box in (BOX, whole):
        cut = cut_mask(image, probability, box, 0.5, True).full(SIZE)
        pasted = paste_mask(probability, box, SIZE, 0.5).full(SIZE)
        assert (cut ^ pasted).sum() <= 0.02 * box_area(box)


def test_tiny_boxes_and_boxes_at_the_edge() -> None:
    image = picture((200, 60, 50), (60, 120, 90))
    for box in ([0, 0, 2, 2], [498, 398, 500, 400], [0, 0, 500, 3], [10.2, 10.2, 10.9, 10.7]):
        assert cut_mask(image, unsure(), np.array(box, np.float32), 0.5, True).bitmap.dtype == bool


def test_sampling_is_that_of_pasting() -> None:
    sampled = sample_mask(unsure(), BOX, SIZE)
    assert np.array_equal(sampled >= 0.5, paste_mask(unsure(), BOX, SIZE, 0.5).full(SIZE))


def test_predictions_are_refined_where_that_is_asked_for() -> None:
    image = generate_scene(900, (240, 320)).image
    usual, refined = (
        Detector.load("starter", threads=1, refined_edges=edges).predict([image], 0.3)[0]
        for edges in ("prompts", "all")
    )
    assert np.array_equal(usual.boxes, refined.boxes)
    pairs = list(zip(usual.masks, refined.masks, strict=True))
    assert any(not np.array_equal(a.full((240, 320)), b.full((240, 320))) for a, b in pairs)
