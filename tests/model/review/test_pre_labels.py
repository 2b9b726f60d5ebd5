"""What is pointed out in predicted regions before they are accepted in bulk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fbnetv3.data.examples import Example
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.judging.calibration import Calibration
from fbnetv3.review import review_predictions
from fbnetv3.review.sizes import FEWEST_OBJECTS, UsualSizes

LABELS = ("cup", "plate")
CUP = (100.0, 100.0, 140.0, 140.0)


def regions(*found: tuple[tuple[float, float, float, float], float, int]) -> Instances:
    """(box, score, class) each, the best first, in an image of 400 x 300."""
    return Instances(
        (300, 400),
        np.array([box for box, _, _ in found], np.float32),
        np.array([score for _, score, _ in found], np.float32),
        np.array([class_ for _, _, class_ in found], np.int64),
        LABELS,
    )


@dataclass(frozen=True)
class Cups:
    """`count` cups of about 40 pixels, one per image."""

    count: int
    labels: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        side = 40 + index % 5
        box = np.array([[10, 10, 10 + side, 10 + side]], np.float32)
        return Example(np.zeros((300, 400, 3), np.uint8), box, np.zeros(1, np.int64), None)


def test_regions_that_are_more_likely_deleted_than_kept() -> None:
    images = [regions((CUP, 0.9, 0), ((10, 10, 50, 50), 0.6, 0)), regions((CUP, 0.3, 0))]
    [only] = review_predictions(images)
    assert (only.kind, only.image, only.objects) == ("spurious", 1, (0,))
    assert only.confidence == pytest.approx(0.7)
    strict = review_predictions(images, Calibration(offset=-1.0))
    assert [(finding.image, finding.objects) for finding in strict] == [(1, (0,)), (0, (1,))]
    assert strict[0].confidence > strict[1].confidence > 0.5


def test_of_two_regions_of_one_object_the_surer_one_stays() -> None:
    [found] = review_predictions([regions((CUP, 0.9, 0), ((101, 101, 141, 141), 0.8, 1))])
    assert (found.kind, found.objects) == ("duplicate", (1, 0))
    same_label = review_predictions([regions((CUP, 0.9, 0), ((101, 101, 141, 141), 0.8, 0))])
    assert same_label[0].confidence > found.confidence, "two labels on one thing may be meant"
    assert not review_predictions([regions((CUP, 0.9, 0), ((120, 100, 160, 140), 0.8, 0))])


def test_masks_tell_apart_what_shares_a_box() -> None:
    boxes = regions((CUP, 0.9, 0), (CUP, 0.8, 0))
    upper = np.triu(np.ones((40, 40), bool))
    masks = (BoxMask(100, 100, upper), BoxMask(100, 100, ~upper))
    apart = Instances(boxes.image_size, boxes.boxes, boxes.scores, boxes.classes, LABELS, masks)
    assert review_predictions([boxes]) and not review_predictions([apart])


def test_sizes_unlike_those_of_the_labelled_objects() -> None:
    usual = UsualSizes.of(Cups(FEWEST_OBJECTS))
    huge, long, plate = ((0, 0, 300, 300), 0.9, 0), ((0, 0, 120, 15), 0.9, 0), ((0, 0, 300, 300), 0.9, 1)
    images = [regions((CUP, 0.9, 0)), regions(huge), regions(long), regions(plate)]
    found = review_predictions(images, usual=usual)
    assert {finding.image for finding in found} == {1, 2}, "a plate's size is not known"
    assert {finding.kind for finding in found} == {"badly_placed"}
    assert all(0.9 < finding.confidence < 1 for finding in found)
    assert not review_predictions(images, usual=UsualSizes.of(Cups(FEWEST_OBJECTS - 1)))
