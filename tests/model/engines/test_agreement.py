"""Two engines agree when they find the same objects, and only then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fbnetv3 import BoxMask, Instances
from fbnetv3.engines.agreement import LEAST_SHARE, compare

SIZE, LABELS = (60, 80), ("bolt", "nut")
COUNT = 4


def instances() -> Instances:
    """Four objects, each 20 x 20 pixels, of which the second and third are neighbours of one class."""
    boxes = np.array([[0, 0, 20, 20], [25, 0, 45, 20], [27, 0, 47, 20], [50, 30, 70, 50]], np.float32)
    masks = tuple(BoxMask(int(box[0]), int(box[1]), np.ones((20, 20), bool)) for box in boxes)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    return Instances(SIZE, boxes, scores, np.array([0, 1, 1, 0]), LABELS, masks)


def disagreement(found: Instances) -> str | None:
    return compare([found], [instances()]).disagreement


def holes(count: int) -> Instances:
    """So many of the 400 pixels of the first mask are not set."""
    bitmap = np.ones(400, bool)
    bitmap[:count] = False
    own = instances()
    assert own.masks is not None
    return replace(own, masks=(BoxMask(0, 0, bitmap.reshape(20, 20)), *own.masks[1:]))


def test_the_same_in_both() -> None:
    agreement = compare([instances()] * 3, [instances()] * 3)
    assert (agreement.count, agreement.share) == (3 * COUNT, 1.0)
    assert (agreement.box, agreement.score, agreement.mask_iou) == (0.0, 0.0, 1.0)
    assert agreement.disagreement is None


def test_the_order_does_not_matter_but_the_image_does() -> None:
    assert disagreement(instances().select([3, 1, 0, 2])) is None
    other = Instances.empty(SIZE, LABELS, with_masks=True)
    assert compare([instances(), other], [other, instances()]).share == 0


@pytest.mark.parametrize(("shift", "agrees"), [(0.09, True), (0.11, False)])
def test_shifted_boxes(shift: float, agrees: bool) -> None:
    boxes = instances().boxes.copy()
    boxes[1, 2] += shift
    found = compare([replace(instances(), boxes=boxes)], [instances()])
    assert (found.disagreement is None) is agrees
    assert found.share == (1.0 if agrees else 0.75)
    assert found.box == pytest.approx(shift if agrees else 0, abs=1e-5)


@pytest.mark.parametrize(("change", "agrees"), [(9e-4, True), (-9e-4, True), (1.1e-3, False), (-0.5, False)])
def test_changed_scores(change: float, agrees: bool) -> None:
    scores = instances().scores.copy()
    scores[0] += change
    found = compare([replace(instances(), scores=scores)], [instances()])
    assert (found.disagreement is None) is agrees
    assert found.score == pytest.approx(abs(change) if agrees else 0, abs=1e-6)


@pytest.mark.parametrize(("missing", "agrees"), [(2, True), (3, False), (400, False)])
def test_changed_masks(missing: int, agrees: bool) -> None:
    found = compare([holes(missing)], [instances()])
    assert (found.disagreement is None) is agrees
    assert found.mask_iou == pytest.approx(1 - missing / 400 if agrees else 1)


def test_two_empty_masks_are_the_same() -> None:
    assert compare([holes(400)], [holes(400)]).disagreement is None


def test_masks_in_one_of_the_two_only() -> None:
    without = replace(instances(), masks=None)
    assert disagreement(without) is not None
    assert compare([without], [without]).disagreement is None


def test_other_classes() -> None:
    found = replace(instances(), classes=np.array([0, 1, 1, 1]))
    assert disagreement(found) == "only 75.0% of 4 instances are the same in both engines"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_missing_instances(count: int) -> None:
    found = compare([instances().select(range(count))], [instances()])
    assert (found.count, found.share) == (COUNT, count / COUNT)
    assert found.disagreement is not None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_extra_instances(count: int) -> None:
    found = compare([instances()], [instances().select(range(count))])
    assert (found.count, found.share) == (COUNT, count / COUNT)
    assert found.disagreement is not None


def test_one_of_very_many_may_differ() -> None:
    boxes = instances().boxes.copy()
    boxes[0] += 5
    one_differs = replace(instances(), boxes=boxes)
    images = [instances()] * 13
    few, many = (compare([one_differs, *images[:n]], images[: n + 1]) for n in (11, 12))
    assert few.share < LEAST_SHARE <= many.share
    assert few.disagreement is not None and many.disagreement is None


def test_nothing_was_found_by_either() -> None:
    nothing = Instances.empty(SIZE, LABELS, with_masks=True)
    found = compare([nothing], [nothing])
    assert found.count == 0
    assert found.disagreement == "nothing was found that could be compared"


def test_as_many_images_from_both() -> None:
    with pytest.raises(ValueError):
        compare([instances()], [])
