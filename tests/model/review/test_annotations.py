"""Errors put into the labels of drawn scenes, found by the starter, which was not trained on these scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scene_data import OneExample

from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou
from fbnetv3.review import LabelIssue, find_label_issues, held_out, predict_held_out

SCENES = SceneExamples(7_000_000, 6, (240, 320))


@pytest.fixture(scope="module")
def starter() -> Detector:
    return Detector.load("starter", engine="torch", threads=1)


@pytest.fixture(scope="module")
def clear(starter: Detector) -> tuple[Example, int]:
    """A scene's labels, and one of its objects that the starter finds as it is labelled: large, seen in full."""
    for index in range(len(SCENES)):
        example = SCENES[index]
        seen = predict_held_out(starter, example, SCENES.labels)
        same = seen.instances.classes[:, None] == example.classes
        fit = box_iou(seen.instances.boxes, example.boxes) * same * (seen.instances.scores[:, None] > 0.9)
        area = (example.boxes[:, 2:] - example.boxes[:, :2]).prod(1) * (fit.max(0, initial=0) > 0.85)
        if len(example.boxes) > 2 and area.max() > 1000:
            return example, int(area.argmax())
    raise AssertionError("the starter finds no object clearly")


def findings(starter: Detector, example: Example) -> list[LabelIssue]:
    examples = OneExample(example)
    return find_label_issues(examples, held_out(starter, examples))


def without(example: Example, one: int) -> Example:
    keep = np.arange(len(example.boxes)) != one
    assert example.masks is not None
    masks = tuple(mask for mask, kept in zip(example.masks, keep, strict=True) if kept)
    return Example(example.image, example.boxes[keep], example.classes[keep], masks)


def with_one(example: Example, one: int, **changes: object) -> Example:
    """Object `one` with another box, class or mask."""
    assert example.masks is not None
    boxes, classes, masks = example.boxes.copy(), example.classes.copy(), list(example.masks)
    for values, name in ((boxes, "box"), (classes, "class_"), (masks, "mask")):
        if name in changes:
            values[one] = changes[name]  # type: ignore[index]
    return Example(example.image, boxes, classes, tuple(masks))


def appended(example: Example, box: np.ndarray, class_: int, mask: BoxMask) -> Example:
    assert example.masks is not None
    boxes = np.concatenate([example.boxes, box[None]]).astype(np.float32)
    return Example(example.image, boxes, np.append(example.classes, class_), (*example.masks, mask))


def test_a_dropped_label_is_found_first(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    first = findings(starter, without(example, one))[0]
    assert (first.kind, first.objects) == ("overlooked", ())
    assert first.label == SCENES.labels[example.classes[one]]
    assert first.box is not None and box_iou(first.box[None], example.boxes[one][None]) > 0.85
    assert first.mask is not None and first.mask.area


def test_a_swapped_label_is_found_first(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    right = int(example.classes[one])
    first = findings(starter, with_one(example, one, class_=(right + 1) % len(SCENES.labels)))[0]
    assert (first.kind, first.objects, first.label) == ("swapped_label", (one,), SCENES.labels[right])
    assert first.box is None


def test_a_shifted_label_is_found_first(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    side = example.boxes[one, 2] - example.boxes[one, 0]
    move = round(float(side) * (0.3 if example.boxes[one, 0] < 160 else -0.3))
    assert example.masks is not None
    mask = replace(example.masks[one], x=example.masks[one].x + move)
    moved = example.boxes[one] + np.array([move, 0, move, 0], np.float32)
    first = findings(starter, with_one(example, one, box=moved, mask=mask))[0]
    assert (first.kind, first.objects, first.label) == ("badly_placed", (one,), None)
    assert first.box is not None and box_iou(first.box[None], example.boxes[one][None]) > 0.85


def test_an_added_label_is_found_first(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    corners = [(x, y) for y in range(0, 170, 10) for x in range(0, 250, 10)]
    places = np.array([(x, y, x + 60, y + 60) for x, y in corners], np.float32)
    empty = places[box_iou(places, example.boxes).max(1).argmin()]
    mask = BoxMask(int(empty[0]), int(empty[1]), np.ones((60, 60), bool))
    first = findings(starter, appended(example, empty, int(example.classes[one]), mask))[0]
    assert (first.kind, first.objects) == ("spurious", (len(example.boxes),))
    assert first.label is first.box is first.mask is None


def test_a_mask_that_does_not_fill_its_box_is_suspicious(
    starter: Detector, clear: tuple[Example, int]
) -> None:
    example, one = clear
    assert example.masks is not None
    mask = example.masks[one]
    cut = BoxMask(mask.x, mask.y, mask.bitmap & (np.arange(mask.bitmap.shape[1]) < 10))
    confidence = [
        next(
            (
                f.confidence
                for f in findings(starter, changed)
                if (f.kind, f.objects) == ("badly_placed", (one,))
            ),
            0.0,
        )
        for changed in (example, with_one(example, one, mask=cut))
    ]
    assert confidence[1] > 2 * confidence[0]


def test_a_second_label_of_one_object_names_both(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    assert example.masks is not None
    twice = appended(example, example.boxes[one] + 1, int(example.classes[one]), example.masks[one])
    doubles = [finding for finding in findings(starter, twice) if finding.kind == "duplicate"]
    assert [finding.objects for finding in doubles] == [(len(example.boxes), one)]
    assert doubles[0].confidence > 0.7


def test_clean_labels_are_mostly_left_alone(starter: Detector) -> None:
    found = find_label_issues(SCENES, held_out(starter, SCENES))
    objects = sum(len(SCENES[index].boxes) for index in range(len(SCENES)))
    about_objects = [finding for finding in found if finding.objects and finding.confidence >= 0.5]
    assert len(about_objects) < 0.15 * objects
    assert [f.confidence for f in found] == sorted((f.confidence for f in found), reverse=True)
    assert all(0 <= finding.confidence <= 1 for finding in found)


def test_labels_that_the_model_does_not_know_are_not_judged(
    starter: Detector, clear: tuple[Example, int]
) -> None:
    example, _ = clear
    strange = OneExample(example, labels=tuple(f"{label} 2" for label in SCENES.labels))
    assert find_label_issues(strange, held_out(starter, strange)) == []


def test_one_label_cannot_be_swapped(starter: Detector, clear: tuple[Example, int]) -> None:
    example, one = clear
    only = OneExample(
        replace(example, classes=np.zeros_like(example.classes)),
        labels=(SCENES.labels[example.classes[one]],),
    )
    found = find_label_issues(only, held_out(starter, only), least=0.0)
    assert found and not [finding for finding in found if finding.kind == "swapped_label"]


def test_an_image_without_labels_has_overlooked_objects_only(
    starter: Detector, clear: tuple[Example, int]
) -> None:
    image = clear[0].image
    found = findings(starter, Example(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None))
    assert {finding.kind for finding in found} == {"overlooked"}
