"""Regions back into objects: what prelabel wrote comes back as it was, and what people draw becomes what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter.brush import mask2rle

from fbnetv3.instances import BoxMask, Instances
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledImage, LabelledObject
from prelabel.labelstudio.regions.predictions import to_regions
from prelabel.labelstudio.shapes.outlines import fill, polygons

CAPTURES = Path(__file__).parents[2] / "captures"
LABELS = ("disc", "box")
ROWS = '<Label value="Disc"/><Label value="Box"/>'
RECT = f'<RectangleLabels name="rect" toName="image">{ROWS}</RectangleLabels>'
POLY = f'<PolygonLabels name="poly" toName="image">{ROWS}</PolygonLabels>'
BRUSH = f'<BrushLabels name="brush" toName="image">{ROWS}</BrushLabels>'
ELLIPSE = f'<EllipseLabels name="ellipse" toName="image">{ROWS}</EllipseLabels>'
BITMASK = f'<BitmaskLabels name="bitmask" toName="image">{ROWS}</BitmaskLabels>'
PAIRS = (
    f'<Labels name="label" toName="image">{ROWS}</Labels><Rectangle name="rectangle" toName="image"/>'
    '<Polygon name="polygon" toName="image"/><Brush name="brush" toName="image"/>'
    '<Ellipse name="oval" toName="image"/><Bitmask name="png" toName="image"/>'
)
SIZE = (60, 80)
ROUNDING = 1e-3
"""Pixels; a region's percentages are rounded to a tenth of that here."""


def config(*controls: str) -> str:
    return f'<View><Image name="image" value="$image"/>{"".join(controls)}</View>'


def read(result: list[dict[str, Any]], *controls: str, size: tuple[int, int] = SIZE) -> LabelledImage:
    return to_objects(result, ObjectControls.from_config(config(*controls)), "image", size)


def accepted(instances: Instances, *controls: str) -> LabelledImage:
    """What becomes of a prediction that somebody submits unchanged."""
    spec = LabelSpec.from_config(config(*controls), LABELS, 0.0)
    result = json.loads(json.dumps(to_regions(instances, spec.controls)))
    return read(result, *controls, size=instances.image_size)


def region(kind: str, value: dict[str, Any], name: str = "", **fields: Any) -> dict[str, Any]:
    """A region of the control that is called as in the configs above."""
    names = {"rectanglelabels": "rect", "polygonlabels": "poly", "brushlabels": "brush"}
    name = name or names.get(kind, kind)
    return {"id": "r1", "from_name": name, "to_name": "image", "type": kind, "value": value, **fields}


def rectangle(x: float, y: float, width: float, height: float, label: str = "Disc", **fields: Any) -> dict:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return region("rectanglelabels", value | fields.pop("value", {}), **fields)


def polygon(points: list[list[float]], label: str = "Disc", **fields: Any) -> dict[str, Any]:
    return region("polygonlabels", {"points": points, "closed": True, "polygonlabels": [label]}, **fields)


def brush(mask: np.ndarray, label: str = "Disc", **fields: Any) -> dict[str, Any]:
    rle = mask2rle(mask.astype(np.uint8) * 255)
    return region("brushlabels", {"format": "rle", "rle": rle, "brushlabels": [label]}, **fields)


def only(image: LabelledImage) -> LabelledObject:
    assert not image.left_out
    [one] = image.objects
    return one


def full(one: LabelledObject, size: tuple[int, int] = SIZE) -> np.ndarray:
    assert one.mask is not None
    return one.mask.full(size)


def blob(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@st.composite
def detections(draw: st.DrawFn) -> Instances:
    """Up to five objects with masks of any shape in any part of their boxes, some without; scores differ."""
    count = draw(st.integers(0, 5))
    boxes, masks = [], []
    for _ in range(count):
        x0, y0 = draw(st.floats(0, SIZE[1] - 13)), draw(st.floats(0, SIZE[0] - 13))
        boxes.append([x0, y0, x0 + draw(st.floats(1, 13)), y0 + draw(st.floats(1, 13))])
        bitmap = draw(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
        x1, y1 = np.ceil(boxes[-1][2:]).astype(int)
        bitmap = bitmap[: max(y1 - int(y0), 0), : max(x1 - int(x0), 0)]
        masks.append(BoxMask.from_full(np.pad(bitmap, ((int(y0), 0), (int(x0), 0)))))
    classes = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    scores = np.linspace(0.95, 0.35, count).astype(np.float32)
    shape = np.array(boxes, np.float32).reshape(count, 4)
    return Instances(SIZE, shape, scores, np.array(classes, np.int64), LABELS, tuple(masks))


def labels_of(instances: Instances) -> list[str]:
    return [label.capitalize() for label in instances.labels]


@given(detections())
@settings(max_examples=60)
def test_accepted_boxes_come_back(instances: Instances) -> None:
    objects = accepted(instances, RECT).objects
    assert [one.label for one in objects] == labels_of(instances)
    assert all(one.mask is None for one in objects)
    np.testing.assert_allclose([one.box for one in objects] or np.zeros((0, 4)), instances.boxes, atol=1e-3)


@given(detections())
@settings(max_examples=60)
def test_accepted_masks_come_back_bit_for_bit(instances: Instances) -> None:
    assert instances.masks is not None
    instances = instances.select([mask.area > 0 for mask in instances.masks])
    assert instances.masks is not None
    objects = accepted(instances, BRUSH).objects
    assert [one.label for one in objects] == labels_of(instances)
    for one, mask in zip(objects, instances.masks, strict=True):
        assert one.mask is not None and np.array_equal(one.mask.bitmap, mask.bitmap)
        assert one.box == (mask.x, mask.y, mask.x + mask.bitmap.shape[1], mask.y + mask.bitmap.shape[0])


@given(detections())
@settings(max_examples=60)
def test_accepted_bitmasks_come_back_bit_for_bit(instances: Instances) -> None:
    assert instances.masks is not None
    instances = instances.select([mask.area > 0 for mask in instances.masks])
    objects = accepted(instances, BITMASK).objects
    assert [one.label for one in objects] == labels_of(instances)
    for one, mask in zip(objects, instances.masks or (), strict=True):
        assert np.array_equal(full(one), mask.full(SIZE))


@given(detections())
@settings(max_examples=60)
def test_accepted_ellipses_come_back_in_their_place(instances: Instances) -> None:
    """Their form is tested with the shape: these masks are none."""
    image = accepted(instances, ELLIPSE)
    assert not image.left_out
    assert [one.label for one in image.objects] == labels_of(instances)


@given(detections())
@settings(max_examples=60)
def test_labels_and_shapes_apart_come_back_as_those_together(instances: Instances) -> None:
    apart = accepted(instances, PAIRS)
    together = accepted(instances, RECT, POLY, BRUSH, ELLIPSE, BITMASK)
    assert not apart.left_out and not together.left_out
    assert [one.label for one in apart.objects] == [one.label for one in together.objects]
    for ours, theirs in zip(apart.objects, together.objects, strict=True):
        assert ours.box == theirs.box
        assert (ours.mask is None) == (theirs.mask is None)
        assert ours.mask is None or np.array_equal(full(ours), full(theirs))


@given(detections())
@settings(max_examples=60)
def test_accepted_polygons_come_back_as_the_pixels_inside_them(instances: Instances) -> None:
    """Pieces are joined and holes stay open. Pixels whose centre is within rounding of an outline may be either."""
    assert instances.masks is not None
    instances = instances.select([mask.area > 0 for mask in instances.masks])
    objects = accepted(instances, POLY).objects
    assert [one.label for one in objects] == labels_of(instances)
    for one, mask in zip(objects, instances.masks or (), strict=True):
        moved = [(-ROUNDING, 0), (ROUNDING, 0), (0, -ROUNDING), (0, ROUNDING)]
        filled = [np.any([fill(ring + by, SIZE) for ring in polygons(mask)], axis=0) for by in moved]
        ours = np.zeros(SIZE, bool) if one.mask is None else full(one)
        assert (np.all(filled, axis=0) <= ours).all() and (ours <= np.any(filled, axis=0)).all()


@given(detections())
@settings(max_examples=100)
def test_one_instance_in_several_controls_is_one_object_with_box_and_mask(instances: Instances) -> None:
    """Also where its mask fills little of its box: the score ties them."""
    image = accepted(instances, RECT, POLY, BRUSH, BITMASK)
    assert not image.left_out
    objects = image.objects
    assert [one.label for one in objects] == labels_of(instances)
    np.testing.assert_allclose([one.box for one in objects] or np.zeros((0, 4)), instances.boxes, atol=1e-3)
    for one, mask in zip(objects, instances.masks or (), strict=True):
        assert (one.mask is None) == (mask.area == 0)
        assert one.mask is None or np.array_equal(full(one), mask.full(SIZE))


def test_a_box_and_a_mask_that_people_drew_are_one_object_where_they_agree() -> None:
    """Without a score: by the IoU of the boxes, the label, and one to one."""
    mask = blob(8, 6, 40, 30)
    same = rectangle(10, 10, 40, 42)  # 8, 6, 40, 31.2
    one = only(read([same, brush(mask)], RECT, BRUSH))
    assert one.box == pytest.approx((8, 6, 40, 31.2)) and np.array_equal(full(one), mask)

    apart = rectangle(20, 10, 40, 42)
    assert len(read([apart, brush(mask)], RECT, BRUSH).objects) == 2
    assert (
        len(
            read(
                [same | {"value": same["value"] | {"rectanglelabels": ["Box"]}}, brush(mask)], RECT, BRUSH
            ).objects
        )
        == 2
    )
    twice = read([same, rectangle(10, 10, 40, 41), brush(mask)], RECT, BRUSH).objects
    assert [one.mask is None for one in twice] == [True, False], "the closer box has the mask"


def test_objects_without_a_common_score_are_not_tied_by_containment() -> None:
    inner = brush(blob(12, 12, 20, 20), score=0.5)
    assert len(read([rectangle(0, 0, 100, 100, score=0.7), inner], RECT, BRUSH).objects) == 2
    assert len(read([rectangle(0, 0, 100, 100, score=0.5), inner], RECT, BRUSH).objects) == 1
    assert (
        len(read([rectangle(0, 0, 100, 100, score=None), inner | {"score": None}], RECT, BRUSH).objects) == 2
    )


@pytest.mark.parametrize(
    ("angle", "box"),
    [
        (0, (40, 30, 60, 40)),
        (90, (30, 30, 40, 50)),
        (180, (20, 20, 40, 30)),
        (-90, (40, 10, 50, 30)),
        (45, (40 - 50**0.5, 30, 40 + 200**0.5, 30 + 450**0.5)),
    ],
)
def test_a_rotated_rectangle_turns_clockwise_about_its_top_left_corner(angle: float, box: tuple) -> None:
    """20 x 10 pixels at (40, 30), although the image is not square."""
    turned = rectangle(50, 50, 25, 100 / 6, value={"rotation": angle})
    one = only(read([turned], RECT))
    assert one.box == pytest.approx(box) and one.mask is None


def test_what_lies_outside_the_image_is_cut_off() -> None:
    assert only(read([rectangle(-10, 50, 60, 80)], RECT)).box == pytest.approx((0, 30, 40, 60))
    one = only(read([polygon([[-50, -50], [50, -50], [50, 50], [-50, 50]])], POLY))
    assert one.box == (0, 0, 40, 30) and np.array_equal(full(one), blob(0, 0, 40, 30))


def test_polygons_joined_by_their_parent_are_one_object() -> None:
    pieces = [
        polygon([[0, 0], [25, 0], [25, 50], [0, 50]], id="a"),
        polygon([[50, 50], [75, 50], [75, 100], [50, 100]], id="b", parentID="a"),
        polygon([[80, 0], [100, 0], [100, 20]], id="c"),
    ]
    first, second = read(pieces, POLY).objects
    assert np.array_equal(full(first), blob(0, 0, 20, 30) | blob(40, 30, 60, 60))
    assert first.box == (0, 0, 60, 60) and second.box == (64, 0, 80, 12)
    orphans = [pieces[1] | {"id": "x"}, pieces[1] | {"id": "y"}]
    assert len(read(orphans, POLY).objects) == 1, "the parent was deleted"


def test_a_polygon_below_one_of_another_label_is_its_own_object() -> None:
    """People use the region tree too: a wheel below its car."""
    car = polygon([[0, 0], [50, 0], [50, 50]], id="a")
    wheel = polygon([[10, 10], [20, 10], [20, 20]], "Box", id="b", parentID="a")
    assert [one.label for one in read([car, wheel], POLY).objects] == ["Disc", "Box"]


def test_several_strokes_of_one_brush_region_are_one_object() -> None:
    strokes = blob(0, 0, 10, 10) | blob(50, 40, 60, 60)
    one = only(read([brush(strokes)], BRUSH))
    assert np.array_equal(full(one), strokes) and one.box == (0, 0, 60, 60)


def test_labels_and_shapes_are_joined_by_their_id() -> None:
    square = {"x": 25, "y": 50, "width": 50, "height": 50, "rotation": 0}
    points = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]]}
    rle = {"format": "rle", "rle": mask2rle(blob(3, 4, 9, 11).astype(np.uint8) * 255)}
    result = []
    for number, (shape, value) in enumerate([("rectangle", square), ("polygon", points), ("brush", rle)]):
        label = ["Disc", "Box"][number % 2]
        result += [
            region(shape, value, id=str(number)),
            region("labels", value | {"labels": [label]}, "label", id=str(number)),
        ]
    image = read([*result, region("rectangle", square, id="bare")], PAIRS)
    assert [one.label for one in image.objects] == ["Disc", "Box", "Disc"]
    assert [one.box for one in image.objects] == [(20, 30, 60, 60), (0, 0, 40, 30), (3, 4, 9, 11)]
    assert [one.mask is None for one in image.objects] == [True, False, False]
    assert image.left_out == ("region bare of 'rectangle' has no label",)


@pytest.mark.parametrize("missing", [{"id": None}, {"id": ""}, {"id": "same"}])
def test_polygons_without_an_id_of_their_own_are_objects_of_their_own(missing: dict[str, Any]) -> None:
    left, right = [[10, 10], [20, 10], [20, 20]], [[60, 10], [70, 10], [70, 20]]
    image = read([polygon(left, **missing), polygon(right, **missing)], POLY)
    assert [one.box for one in image.objects] == [(8, 6, 16, 12), (48, 6, 56, 12)]


def test_pieces_without_ids_are_joined_by_their_parent() -> None:
    left, right = [[10, 10], [20, 10], [20, 20]], [[60, 10], [70, 10], [70, 20]]
    pieces = [polygon(points, id=None, parentID="whole") for points in (left, right)]
    assert only(read(pieces, POLY)).box == (8, 6, 56, 12)


def test_a_shape_and_a_label_without_ids_are_not_taken_for_a_pair() -> None:
    square = {"x": 25, "y": 50, "width": 50, "height": 50, "rotation": 0}
    result = [
        part
        for label in ("Disc", "Box")
        for part in (
            region("rectangle", square, id=None),
            region("labels", square | {"labels": [label]}, "label", id=None),
        )
    ]
    image = read(result, PAIRS)
    assert not image.objects and "has no label" in image.left_out[0]


@pytest.mark.parametrize("rows", ['<Label value="Box"/>', ROWS])
def test_what_a_skipped_labels_tag_labels_is_left_aside(rows: str) -> None:
    square = {"x": 25, "y": 50, "width": 50, "height": 50, "rotation": 0}
    result = [
        region("rectangle", square, id="scratch"),
        region("labels", square | {"labels": ["Scratch"]}, "skipped", id="scratch"),
        region("rectangle", square | {"x": 0}, id="box"),
        region("labels", square | {"x": 0, "labels": ["Box"]}, "label", id="box"),
    ]
    image = read(
        result,
        '<Labels name="skipped" toName="image" model_skip="true"><Label value="Scratch"/></Labels>',
        f'<Labels name="label" toName="image">{rows}</Labels><Rectangle name="rectangle" toName="image"/>',
    )
    assert only(image).label == "Box"


@pytest.mark.parametrize(("rotation", "is_read"), [(360, True), ("0", True), (90, False), ("turned", False)])
def test_an_image_that_was_turned_all_the_way_was_not_turned(rotation: Any, is_read: bool) -> None:
    image = read([rectangle(0, 0, 10, 10, image_rotation=rotation)], RECT)
    assert bool(image.objects) == is_read != bool(image.left_out)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "0.5", None])
def test_a_score_that_is_no_number_is_none(score: Any) -> None:
    assert only(read([rectangle(0, 0, 10, 10, score=score)], RECT)).score is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (rectangle(0, 0, 10, 10, "Wedge"), "label 'Wedge'"),
        (rectangle(0, 0, 10, 10, value={"rectanglelabels": []}), "no label"),
        (rectangle(10, 10, 0, 10), "no area"),
        (rectangle(120, 10, 10, 10), "no area"),
        (rectangle(0, 0, 10, 10, value={"x": None}), "incomplete"),
        (rectangle(0, 0, 10, 10, value={"x": float("nan")}), "not a number"),
        (rectangle(0, 0, 10, 10, image_rotation=90), "turned"),
        (rectangle(0, 0, 10, 10) | {"value": None}, "incomplete"),
        (polygon([[0, 0], [10, 10]]), "three points"),
        (polygon([[0, 0], [10, "x"], [3, 4]]), "incomplete"),
        (brush(np.zeros(SIZE, bool)), "no area"),
        (brush(np.ones((10, 10), bool)), "100 pixels, its image 4800"),
        (region("brushlabels", {"rle": [1, 2, 300], "brushlabels": ["Disc"]}), "bytes"),
        (region("brushlabels", {"brushlabels": ["Disc"]}), "incomplete"),
    ],
)
def test_a_region_that_cannot_be_read_is_named(bad: dict[str, Any], says: str) -> None:
    image = read([bad, rectangle(20, 20, 10, 10, id="good")], RECT, POLY, BRUSH)
    assert len(image.objects) == 1
    [reason] = image.left_out
    assert says in reason and reason.startswith("region r1 of ") and "\n" not in reason


def test_each_image_of_a_pair_has_its_own_objects() -> None:
    xml = (
        '<View><Image name="left" value="$a"/><Image name="right" value="$b"/>'
        f'<RectangleLabels name="rect" toName="left,right">{ROWS}</RectangleLabels></View>'
    )
    controls = ObjectControls.from_config(xml)
    result = [
        rectangle(0, 0, 50, 50) | {"to_name": "left"},
        rectangle(50, 50, 50, 50) | {"to_name": "right"},
    ]
    assert controls.image_keys == ("a", "b")
    [left] = to_objects(result, controls, "a", (100, 100)).objects
    [right] = to_objects(result, controls, "b", (10, 10)).objects
    assert left.box == (0, 0, 50, 50) and right.box == (5, 5, 10, 10)


ONE = '<Label value="Disc"/>'
KEY_POINTS = f'<KeyPointLabels name="kp" toName="image">{ROWS}<Label value="Eye"/></KeyPointLabels>'


def key_point(*labels: str, name: str = "kp", **fields: Any) -> dict[str, Any]:
    return region(
        "keypointlabels", {"x": 1, "y": 1, "width": 0.5, "keypointlabels": [*labels]}, name, **fields
    )


@pytest.mark.parametrize(
    ("controls", "unlabelled"),
    [
        ([f'<RectangleLabels name="rect" toName="image">{ONE}</RectangleLabels>'], "rectanglelabels"),
        ([f'<RectangleLabels name="rect" toName="image">{ONE}</RectangleLabels>'], "rectangle"),
        (
            ['<Rectangle name="rect" toName="image"/>', f'<Labels name="l" toName="image">{ONE}</Labels>'],
            "rectangle",
        ),
        ([f'<RectangleLabels name="rect" toName="image">{ONE}</RectangleLabels>', BRUSH], "rectangle"),
    ],
)
def test_a_region_without_a_label_has_the_only_one_that_it_can_have(
    controls: list[str], unlabelled: str
) -> None:
    bare = {"x": 10, "y": 10, "width": 20, "height": 20}
    assert only(read([region(unlabelled, bare, "rect")], *controls)).label == "Disc"
    several = [control.replace(ONE, ROWS) for control in controls]
    assert read([region(unlabelled, bare, "rect")], *several).left_out == (
        "region r1 of 'rect' has no label",
    )


def test_a_label_that_is_gone_is_not_taken_for_the_only_one() -> None:
    pair = ['<Rectangle name="rect" toName="image"/>', f'<Labels name="l" toName="image">{ONE}</Labels>']
    bare = {"x": 10, "y": 10, "width": 20, "height": 20}
    old = region("labels", {**bare, "labels": ["Wedge"]}, "renamed")
    [reason] = read([region("rectangle", bare, "rect"), old], *pair).left_out
    assert "label 'Wedge', which the labelling config does not have" in reason


def test_a_label_may_stand_in_the_value_of_any_of_its_types() -> None:
    bare = {"x": 10, "y": 10, "width": 20, "height": 20}
    for value in ({"rectanglelabels": ["Box"]}, {"labels": ["Box"]}):
        assert only(read([region("rectangle", bare | value, "rect")], RECT)).label == "Box"


def test_a_wand_is_a_brush() -> None:
    mask = blob(3, 4, 9, 11)
    value = brush(mask)["value"]
    del value["brushlabels"]
    wand = ['<MagicWand name="wand" toName="image"/>', f'<Labels name="l" toName="image">{ROWS}</Labels>']
    result = [region("magicwand", value, "wand"), region("labels", {**value, "labels": ["Box"]}, "l")]
    one = only(read(result, *wand))
    assert one.label == "Box" and np.array_equal(full(one), mask)


def test_a_region_of_another_type_than_its_tag_draws_is_named() -> None:
    outline = polygon([[0, 0], [10, 0], [10, 10]]) | {"from_name": "rect"}
    [reason] = read([outline], RECT).left_out
    assert reason == "region r1 of 'rect' is of the type 'polygonlabels', which its tag does not draw"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (key_point("Disc"), "is of the type 'keypointlabels', which cannot be learnt"),
        (key_point(), "which cannot be learnt"),
        (
            region("vectorlabels", {"vertices": [], "closed": True, "vectorlabels": ["Box"]}, "kp"),
            "'vectorlabels'",
        ),
        (rectangle(0, 0, 9, 9) | {"from_name": "old"}, "a tag that the labelling config does not have"),
        (
            rectangle(0, 0, 9, 9, "Wedge") | {"from_name": "old"},
            "a tag that the labelling config does not have",
        ),
        (rectangle(0, 0, 9, 9) | {"from_name": "old", "to_name": "old"}, "a tag that the labelling"),
        (brush(blob(0, 0, 9, 9)) | {"from_name": "old"}, "a tag that the labelling config does not have"),
        (
            region("bitmasklabels", {"imageDataURL": "data:"}, "old"),
            "a tag that the labelling config does not have",
        ),
        (
            region("labels", {"x": 1, "y": 1, "width": 9, "height": 9, "labels": ["Disc"]}, "l"),
            "type 'labels'",
        ),
    ],
)
def test_what_other_tags_draw_makes_the_image_unreliable(other: dict[str, Any], says: str) -> None:
    labels = f'<Labels name="l" toName="image">{ROWS}</Labels>'
    image = read([rectangle(20, 20, 10, 10, id="good"), other | {"id": "other"}], RECT, KEY_POINTS, labels)
    assert len(image.objects) == 1
    [reason] = image.left_out
    assert says in reason and reason.startswith("region other of ") and "\n" not in reason


NUMBERS = st.one_of(
    st.floats(allow_nan=True), st.integers(-(10**400), 10**400), st.booleans(), st.none(), st.text(max_size=3)
)
ODD = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=4)


@st.composite
def odd_regions(draw: st.DrawFn) -> dict[str, Any]:
    """What hand-made imports and hostile servers may hold: known types with values of any kind."""
    shape = draw(st.sampled_from(["rectangle", "polygon", "brush", "ellipse", "bitmask"]))
    keys = "x", "y", "width", "height", "radiusX", "radiusY", "rotation", "points", "rle", "imageDataURL"
    value: dict[str, Any] = {key: draw(st.one_of(st.just(20), ODD)) for key in keys}
    value |= {f"{shape}labels": draw(st.one_of(st.just(["Disc"]), ODD))}
    name = {"rectangle": "rect", "polygon": "poly"}.get(shape, shape)
    found = region(f"{shape}labels", draw(st.one_of(st.just(value), ODD)), name)
    changed = st.sampled_from([*found, "parentID", "score", "image_rotation"])
    return found | draw(st.dictionaries(changed, ODD, max_size=2))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(st.lists(odd_regions(), max_size=3))
@settings(max_examples=300)
def test_nothing_in_a_region_stops_the_reading(result: list[dict[str, Any]]) -> None:
    image = read(result, RECT, POLY, BRUSH, ELLIPSE, BITMASK)
    assert len(image.objects) + len(image.left_out) + image.no_objects <= len(result)
    assert all("\n" not in reason for reason in image.left_out)


def test_what_shows_no_object_is_passed_over() -> None:
    xml = config(
        RECT,
        KEY_POINTS,
        KEY_POINTS.replace('"kp"', '"click" smart="true"'),
        BRUSH.replace("toName", 'model_skip="true" toName'),
        '<Text name="text" value="$text"/><Labels name="ner" toName="text"><Label value="Disc"/></Labels>',
        '<Choices name="quality" toName="image" perRegion="true"><Choice value="ok"/></Choices>',
    )
    good = rectangle(0, 0, 10, 10)
    place = {key: good["value"][key] for key in ("x", "y", "width", "height", "rotation")}
    others = [
        key_point("Eye", id="eye"),
        key_point("Disc", name="click"),
        brush(blob(0, 0, 5, 5)),
        region("choices", {**place, "choices": ["ok"]}, "quality"),
        region("textarea", {**place, "text": ["a word"]}, "gone"),
        region("labels", {"start": 0, "end": 3, "labels": ["Disc"]}, "ner") | {"to_name": "text"},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {},
    ]
    image = to_objects([*others, good], ObjectControls.from_config(xml), "image", SIZE)
    assert len(image.objects) == 1 and not image.left_out
    assert image.no_objects == 1, "the eye"


def test_what_is_on_another_image_is_not_on_this_one() -> None:
    xml = (
        '<View><Image name="left" value="$a"/><Image name="right" value="$b"/><Image name="pages" valueList="$c"/>'
        f'<RectangleLabels name="rect" toName="left,right">{ROWS}</RectangleLabels>{KEY_POINTS}</View>'
    ).replace('toName="image"', 'toName="left,right,pages"')
    controls = ObjectControls.from_config(xml)
    result = [key_point("Disc") | {"to_name": "left"}, key_point("Disc") | {"to_name": "pages"}]
    assert len(to_objects(result, controls, "a", SIZE).left_out) == 1
    assert not to_objects(result, controls, "b", SIZE).left_out


@pytest.mark.parametrize(
    "capture",
    ["webhook_ANNOTATIONS_CREATED_bulk_accept", "webhook_ANNOTATION_CREATED", "webhook_ANNOTATION_UPDATED"],
)
def test_real_annotations_are_read(capture: str) -> None:
    """Recorded from Label Studio: every region of the three kinds of control becomes an object, or part of one."""
    payload = json.loads((CAPTURES / f"{capture}.json").read_text())["json"]
    controls = ObjectControls.from_config(payload["project"]["label_config"])
    annotations = payload["annotation"]
    for one in annotations if isinstance(annotations, list) else [annotations]:
        first = one["result"][0]
        size = first["original_height"], first["original_width"]
        image = to_objects(one["result"], controls, controls.image_keys[0], size)
        assert not image.left_out
        names = {"rect", "poly", "brush"}
        count = sum(r["from_name"] in names for r in one["result"])
        assert 1 <= len(image.objects) <= count
        kinds = {r["from_name"] for r in one["result"]}
        assert any(o.mask is not None for o in image.objects) == bool(kinds & {"poly", "brush"})


SKIPPED = f'<RectangleLabels name="spare" toName="image" model_skip="true">{ROWS}</RectangleLabels>'


@pytest.mark.parametrize(("label", "is_reliable"), [("Disc", False), ("Scratch", True)])
def test_an_image_on_which_only_a_skipped_tag_shows_an_object_is_not_one_of_nothing(
    label: str, is_reliable: bool
) -> None:
    spare = SKIPPED.replace("</R", '<Label value="Scratch"/></R')
    image = read([rectangle(0, 0, 10, 10, label, name="spare")], RECT, spare)
    assert not image.objects and bool(image.left_out) != is_reliable


def test_a_skipped_tag_beside_objects_takes_nothing_from_them() -> None:
    result = [rectangle(0, 0, 10, 10, name="spare"), rectangle(50, 50, 10, 10, id="r2")]
    assert only(read(result, RECT, SKIPPED)).box == (40, 30, 48, 36)
