"""Instances into regions and back: geometry, masks, ids, thresholds, scores, and what must not be sent."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle

from fbnetv3.instances import BoxMask, Instances
from prelabel.labelstudio.config.control_spec import ControlSpec
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.predictions import (
    drop_invalid,
    image_score,
    task_score,
    to_prediction,
    to_regions,
    validate,
)
from prelabel.labelstudio.shapes.outlines import fill

LABELS = ("disc", "box")
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="rect" toName="image"><Label value="Disc"/><Label value="Box"/></RectangleLabels>
  <PolygonLabels name="poly" toName="image"><Label value="Disc"/><Label value="Box"/></PolygonLabels>
  <BrushLabels name="brush" toName="image"><Label value="Disc"/><Label value="Box"/></BrushLabels>
</View>"""
SPEC = LabelSpec.from_config(CONFIG, LABELS, 0.5)
RECT, POLY, BRUSH = SPEC.controls
SIZE = (120, 200)


def instances_of(
    boxes: list[list[float]],
    scores: list[float] | None = None,
    classes: list[int] | None = None,
    masks: list[np.ndarray] | None = None,
    size: tuple[int, int] = SIZE,
) -> Instances:
    count = len(boxes)
    return Instances(
        size,
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(scores or [0.9] * count, np.float32),
        np.array(classes or [0] * count, np.int64),
        LABELS,
        None if masks is None else tuple(BoxMask.from_full(mask) for mask in masks),
    )


def ellipse(size: tuple[int, int] = SIZE) -> np.ndarray:
    height, width = size
    rows, columns = np.ogrid[:height, :width]
    return ((rows - height / 2) / (height / 3)) ** 2 + ((columns - width / 3) / (width / 5)) ** 2 < 1


def control(base: ControlSpec, **changes: object) -> ControlSpec:
    return replace(base, **changes)


def test_a_region_has_every_field_that_label_studio_stores():
    (region,) = to_regions(instances_of([[20, 12, 120, 60]], [0.87654321]), [RECT])

    identifier = region.pop("id")
    assert len(identifier) == 10
    assert region == {
        "from_name": "rect",
        "to_name": "image",
        "type": "rectanglelabels",
        "value": {"x": 10, "y": 10, "width": 50, "height": 40, "rotation": 0, "rectanglelabels": ["Disc"]},
        "score": 0.8765,
        "original_width": 200,
        "original_height": 120,
        "image_rotation": 0,
    }


@given(
    st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    st.lists(st.floats(-500, 9500, width=32), min_size=4, max_size=4),
)
def test_boxes_come_back_within_a_hundredth_of_a_pixel(size: tuple[int, int], numbers: list[float]):
    height, width = size
    x0, x1 = sorted(numbers[:2])
    y0, y1 = sorted(numbers[2:])
    regions = to_regions(instances_of([[x0, y0, x1, y1]], size=size), [RECT])
    left, right = np.clip([x0, x1], 0, width)
    top, bottom = np.clip([y0, y1], 0, height)

    for region in regions:
        value = region["value"]
        assert value["x"] * width / 100 == pytest.approx(left, abs=0.01)
        assert value["y"] * height / 100 == pytest.approx(top, abs=0.01)
        assert (value["x"] + value["width"]) * width / 100 == pytest.approx(right, abs=0.02)
        assert (value["y"] + value["height"]) * height / 100 == pytest.approx(bottom, abs=0.02)
        assert min(value[key] for key in ("x", "y", "width", "height")) >= 0
        assert max(value["x"] + value["width"], value["y"] + value["height"]) <= 100 + 1e-9
    if right - left > 0.1 and bottom - top > 0.1:
        assert len(regions) == 1


@pytest.mark.parametrize("box", [[-30, 10, -5, 20], [10, 130, 20, 140], [50, 50, 50, 60], [60, 50, 50, 60]])
def test_boxes_without_any_of_the_image_are_left_out(box: list[float]):
    assert to_regions(instances_of([box]), [RECT]) == []


def test_brush_region_has_the_natural_size_of_the_image():
    mask = ellipse()
    (region,) = to_regions(instances_of([[0, 0, 9, 9]], masks=[mask]), [BRUSH])
    decoded = decode_rle(region["value"]["rle"])

    assert region["value"]["format"] == "rle"
    assert region["value"]["brushlabels"] == ["Disc"]
    assert len(decoded) == 4 * SIZE[0] * SIZE[1]
    assert (decoded.reshape(*SIZE, 4)[..., 3] == mask * 255).all()


def test_polygon_region_drawn_on_the_image_is_the_mask():
    mask = ellipse()
    (region,) = to_regions(instances_of([[0, 0, 9, 9]], masks=[mask]), [POLY])
    points = np.array(region["value"]["points"]) * (SIZE[1] / 100, SIZE[0] / 100)
    drawn = fill(points, SIZE)

    assert region["value"]["closed"] is True
    assert region["value"]["polygonlabels"] == ["Disc"]
    assert (drawn & mask).sum() / (drawn | mask).sum() >= 0.97


def test_pieces_of_one_object_name_the_largest_as_their_parent():
    mask = np.zeros(SIZE, bool)
    mask[10:60, 10:60] = mask[80:100, 150:170] = mask[80:95, 10:25] = True
    largest, *others = to_regions(instances_of([[0, 0, 9, 9]], masks=[mask]), [POLY])

    assert "parentID" not in largest
    assert [region["parentID"] for region in others] == [largest["id"]] * 2


def test_one_instance_becomes_a_region_in_every_control_that_wants_it():
    strict = control(BRUSH, score_threshold=0.95)
    skipped = control(RECT, from_name="skipped", skip=True)
    boxes_only = control(RECT, from_name="boxes only", label_map={"box": "Box"})
    found = instances_of([[20, 12, 120, 60]], [0.9], masks=[ellipse()])

    regions = to_regions(found, [RECT, strict, POLY, skipped, boxes_only])
    assert [region["from_name"] for region in regions] == ["rect", "poly"]


def test_a_score_at_the_threshold_is_enough():
    found = instances_of([[20, 12, 120, 60]] * 2, [0.5, 0.49])
    assert len(to_regions(found, [RECT])) == 1


def test_without_masks_only_boxes_come_out():
    regions = to_regions(instances_of([[20, 12, 120, 60]]), SPEC.controls)
    assert [region["type"] for region in regions] == ["rectanglelabels"]


def test_an_empty_mask_makes_no_polygon_and_no_brush():
    found = instances_of([[20, 12, 120, 60]], masks=[np.zeros(SIZE, bool)])
    assert [region["type"] for region in to_regions(found, SPEC.controls)] == ["rectanglelabels"]


def test_ids_repeat_for_the_same_instances_and_never_within_them():
    found = instances_of([[20, 12, 120, 60], [20, 12, 120, 60], [5, 5, 9, 9]], masks=[ellipse()] * 3)
    first, second = (to_regions(found, SPEC.controls) for _ in range(2))
    moved = to_regions(instances_of([[21, 12, 120, 60]]), [RECT])
    ids = [region["id"] for region in first]

    assert first == second
    assert len(set(ids)) == len(ids) == 9
    assert moved[0]["id"] not in ids


def test_regions_are_plain_json():
    found = instances_of([[20, 12, 120, 60]], masks=[ellipse()])
    prediction = to_prediction(to_regions(found, SPEC.controls), np.float32(0.9), "v1")

    assert json.loads(json.dumps(prediction, allow_nan=False)) == prediction
    assert prediction["score"] == 0.9


@pytest.mark.parametrize(
    ("scores", "floor", "expected"),
    [
        ([0.9, 0.7], None, 0.8),
        ([0.9, 0.7, 0.3], None, 0.8),  # a weak candidate does not matter beside good ones
        ([0.4, 0.2], 0.05, 0.6),  # nothing kept, a near miss
        ([0.1], 0.05, 0.9),  # nothing kept, hardly a candidate
        ([], 0.05, 0.95),
        ([], None, 0.5),  # all that is known: nothing above the threshold
    ],
)
def test_image_score_is_low_where_a_person_is_needed(
    scores: list[float], floor: float | None, expected: float
):
    found = instances_of([[20, 12, 120, 60]] * len(scores), scores)
    assert image_score(found, [RECT], floor) == pytest.approx(expected)


def test_image_score_counts_only_labels_that_the_project_has():
    only_boxes = control(RECT, label_map={"box": "Box"})
    found = instances_of([[20, 12, 120, 60]] * 2, [0.9, 0.6], classes=[0, 1])

    assert image_score(found, [only_boxes]) == 0.6
    assert image_score(found, []) == 0.0


def test_task_score_is_that_of_its_most_doubtful_image():
    assert task_score([0.9, 0.4, 0.8]) == 0.4
    assert task_score([]) == 0.0


def test_everything_made_here_is_valid_for_the_sdk():
    found = instances_of(
        [[-5, -5, 500, 500], [0, 0, 1, 1], [50.3, 20.7, 90.1, 80.9]], classes=[0, 1, 0], masks=[ellipse()] * 3
    )
    prediction = to_prediction(to_regions(found, SPEC.controls), 0.9, "v1")

    assert len(prediction["result"]) == 9
    assert validate(SPEC.interface, prediction) == []
    assert drop_invalid(SPEC.interface, prediction) == (prediction, [])


def test_invalid_regions_are_dropped_with_a_short_reason():
    good, bad, worse = to_regions(instances_of([[20, 12, 120, 60]], masks=[ellipse()]), SPEC.controls)
    bad["value"]["polygonlabels"] = ["Cat"]
    worse["value"]["rle"] = [*worse["value"]["rle"] * 50, 256]
    prediction, reasons = drop_invalid(SPEC.interface, to_prediction([good, bad, worse], 0.9, "v1"))

    assert prediction == {"result": [good], "score": 0.9, "model_version": "v1"}
    assert [reason.startswith(f"Region {number}") for reason, number in zip(reasons, (1, 2), strict=True)]
    assert max(map(len, reasons)) <= 300


def test_instances_that_are_not_numbers_are_dropped():
    found = instances_of([[float("nan"), 0, 50, 50]])
    prediction = to_prediction(to_regions(found, [RECT]), 0.9, "v1")

    assert drop_invalid(SPEC.interface, prediction)[0]["result"] == []


PAIRS = LabelSpec.from_config(
    """<View><Image name="image" value="$image"/>
    <Labels name="label" toName="image"><Label value="Disc"/><Label value="Box"/></Labels>
    <Rectangle name="Rectangle" toName="image"/><Polygon name="Polygon" toName="image"/>
    <Brush name="Brush" toName="image"/><Ellipse name="Ellipse" toName="image"/>
    <Bitmask name="Bitmask" toName="image"/></View>""",
    LABELS,
    0.5,
)
LATER = LabelSpec.from_config(
    """<View><Image name="image" value="$image"/>
    <EllipseLabels name="ellipse" toName="image"><Label value="Disc"/></EllipseLabels>
    <BitmaskLabels name="bitmask" toName="image"><Label value="Disc"/></BitmaskLabels></View>""",
    LABELS,
    0.5,
)


def test_a_shape_and_its_label_are_two_results_with_one_id():
    shape, label = to_regions(instances_of([[20, 12, 120, 60]], [0.87654321]), PAIRS.controls[:1])
    place = {"x": 10, "y": 10, "width": 50, "height": 40, "rotation": 0}
    assert shape["id"] == label["id"] and len(shape["id"]) == 10
    assert (shape["from_name"], shape["type"], shape["value"]) == ("Rectangle", "rectangle", place)
    assert (label["from_name"], label["type"]) == ("label", "labels")
    assert label["value"] == {**place, "labels": ["Disc"]}, "Label Studio writes the place twice"
    for same in ("score", "to_name", "original_width", "original_height", "image_rotation"):
        assert shape[same] == label[same]


def test_pieces_of_a_shape_with_its_label_apart_name_their_parent_in_both_results():
    mask = np.zeros(SIZE, bool)
    mask[10:60, 10:60] = mask[80:100, 150:170] = True
    largest, _, *piece = to_regions(instances_of([[0, 0, 9, 9]], masks=[mask]), PAIRS.controls[1:2])
    assert [result["parentID"] for result in piece] == [largest["id"]] * 2


@pytest.mark.parametrize("spec", [PAIRS, LATER])
def test_all_shapes_are_valid_for_the_sdk(spec: LabelSpec):
    found = instances_of(
        [[20, 12, 120, 60], [150, 80, 260, 160]], [0.9, 0.8], masks=[ellipse(), ellipse()[::-1]]
    )
    regions = to_regions(found, spec.controls)
    prediction = to_prediction(regions, 0.9, "v1")
    assert len(regions) == 2 * len(spec.controls) * (2 if spec is PAIRS else 1)
    assert validate(spec.interface, prediction) == []
    assert json.loads(json.dumps(prediction, allow_nan=False)) == prediction
    assert drop_invalid(spec.interface, prediction) == (prediction, [])


def test_a_shape_goes_with_its_label():
    found = instances_of([[20, 12, 120, 60], [30, 12, 120, 60]], masks=[ellipse()] * 2)
    results = to_regions(found, PAIRS.controls[:1])
    results[1]["value"]["labels"] = ["Cat"]
    prediction, reasons = drop_invalid(PAIRS.interface, to_prediction(results, 0.9, "v1"))
    assert prediction["result"] == results[2:] and len(reasons) == 1


def test_an_ellipse_is_fitted_to_the_mask_and_fills_the_box_without_one():
    box = [20, 12, 120, 60]
    (fitted,) = to_regions(instances_of([box], masks=[ellipse()]), LATER.controls[:1])
    (in_box,) = to_regions(instances_of([box]), LATER.controls)
    assert fitted["type"] == in_box["type"] == "ellipselabels"
    assert fitted["value"]["x"] == pytest.approx(100 / 3, abs=0.5)
    assert (in_box["value"]["x"], in_box["value"]["radiusX"]) == (35, 25)
