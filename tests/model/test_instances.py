"""Masks kept as crops come back whole, and a choice of objects keeps their parts together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from fbnetv3.instances import BoxMask, Instances

LABELS = ("bolt", "nut", "gear")


def three_instances(with_masks: bool = True) -> Instances:
    masks = tuple(BoxMask(10 * i, 0, np.ones((2, i + 1), bool)) for i in range(3))
    return Instances(
        (20, 40),
        np.array([[10 * i, 0, 10 * i + i + 1, 2] for i in range(3)], np.float32),
        np.array([0.9, 0.6, 0.3], np.float32),
        np.array([2, 0, 1]),
        LABELS,
        masks if with_masks else None,
    )


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_crop_comes_back_as_the_full_mask(mask: np.ndarray) -> None:
    crop = BoxMask.from_full(mask)
    assert np.array_equal(crop.full(mask.shape), mask)
    assert crop.area == mask.sum()


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(np.any))
def test_a_crop_is_as_small_as_the_mask_allows(mask: np.ndarray) -> None:
    bitmap = BoxMask.from_full(mask).bitmap
    assert bitmap[0].any() and bitmap[-1].any() and bitmap[:, 0].any() and bitmap[:, -1].any()


def test_an_empty_mask_becomes_nothing() -> None:
    crop = BoxMask.from_full(np.zeros((5, 7), bool))
    assert crop.bitmap.shape == (0, 0) and crop.area == 0
    assert not crop.full((5, 7)).any()


def test_any_number_but_zero_is_a_set_pixel() -> None:
    crop = BoxMask.from_full(np.array([[0, 0, 0], [0, 255, 1]], np.uint8))
    assert (crop.x, crop.y) == (1, 1)
    assert crop.bitmap.dtype == bool and crop.bitmap.tolist() == [[True, True]]


def test_a_crop_does_not_follow_later_changes_of_the_mask() -> None:
    mask = np.ones((3, 3), bool)
    crop = BoxMask.from_full(mask[:, :2])
    mask[:] = False
    assert crop.area == 6


@pytest.mark.parametrize("keep", [[2, 0], np.array([2, 0]), (2, 0)], ids=["list", "array", "tuple"])
def test_a_choice_by_index_keeps_its_order_and_its_parts_together(keep: object) -> None:
    chosen = three_instances().select(keep)  # type: ignore[arg-type]
    assert chosen.labels == ["nut", "gear"]
    assert chosen.scores.tolist() == pytest.approx([0.3, 0.9])
    assert chosen.boxes[:, 0].tolist() == [20, 0]
    assert chosen.masks is not None and [mask.x for mask in chosen.masks] == [20, 0]
    assert chosen.image_size == (20, 40) and chosen.label_names == LABELS


def test_a_choice_by_truth_value() -> None:
    instances = three_instances()
    chosen = instances.select(instances.scores > 0.5)
    assert chosen.labels == ["gear", "bolt"]
    assert chosen.masks is not None and len(chosen.masks) == len(chosen) == 2


@pytest.mark.parametrize("keep", [[], np.zeros(3, bool)], ids=["no index", "nowhere true"])
def test_a_choice_of_nothing(keep: object) -> None:
    chosen = three_instances().select(keep)  # type: ignore[arg-type]
    assert len(chosen) == 0 and chosen.boxes.shape == (0, 4) and chosen.masks == ()


def test_without_masks_a_choice_has_none_either() -> None:
    assert three_instances(with_masks=False).select([1]).masks is None


@pytest.mark.parametrize("with_masks", [False, True])
def test_no_objects_at_all(with_masks: bool) -> None:
    empty = Instances.empty((20, 40), LABELS, with_masks)
    assert len(empty) == 0 and empty.labels == []
    assert empty.masks == (() if with_masks else None)
    full = three_instances(with_masks)
    for name in ("boxes", "scores", "classes"):
        ours, theirs = getattr(empty, name), getattr(full, name)
        assert ours.dtype == theirs.dtype and ours.shape == (0, *theirs.shape[1:])
