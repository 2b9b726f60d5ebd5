"""From the context of a smart tool to a prompt, and from there to the control that gets the region."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from serving import captured

from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.prompt_targets import prompt_target
from prelabel.labelstudio.regions.prompts import BoxPrompt, PointsPrompt, PromptError, Tool, read_prompts

SIZE = (600, 800)
MODEL_LABELS = ("disc", "ring", "box", "wedge")


def shape(kind: str = "rectanglelabels", **changes: Any) -> dict[str, Any]:
    """A drawn shape with the label Disc; `changes` to its value where the value has such a key."""
    value = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, kind: ["Disc"]}
    drawn = {"id": "a", "type": kind, "from_name": "tool", "to_name": "image"}
    drawn["value"] = value | {
        key: changes.pop(key) for key in [*changes] if key in value or key == "rotation"
    }
    return drawn | changes


def read(*shapes: Any) -> Any:
    return read_prompts({"result": list(shapes)})


def test_a_recorded_box() -> None:
    [prompt] = read_prompts(captured("interactive_rectanglelabels")["params"]["context"])
    assert prompt.tool == Tool("rect", "image", "Wedge")
    np.testing.assert_allclose(prompt.box(SIZE), [136.1, 336.0, 591.9, 569.6], atol=0.05)


def test_recorded_points() -> None:
    context = captured("interactive_keypointlabels_positive_and_negative")["params"]["context"]
    [prompt] = read_prompts(context)
    assert prompt.tool == Tool("kp", "image", "Wedge")
    assert prompt.positive == (True, False)
    np.testing.assert_allclose(prompt.pixels(SIZE), [[375.9, 480.0], [79.9, 60.3]], atol=0.05)


def test_every_box_that_waits_is_a_prompt_of_its_own() -> None:
    """Label Studio drops its suggestions when an answer comes, and sends all boxes that were not accepted again."""
    assert [prompt.x for prompt in read(shape(), shape(x=50.0, id="b"))] == [10, 50]


def test_a_point_that_does_not_say_what_it_is_lies_on_the_object() -> None:
    [prompt] = read(shape("keypointlabels"))
    assert prompt.positive == (True,)


def test_what_is_just_possible_is_asked_for() -> None:
    assert len(read(*[shape(x=1000, y=-1000, width=0.01, height=0.01)] * 50)) == 50
    [prompt] = read(shape("keypointlabels", x=0, y=100), shape("keypointlabels", x=100, y=0))
    assert prompt.points == ((0, 100), (100, 0))


def test_nothing_drawn_is_no_prompt() -> None:
    assert read() == ()


@pytest.mark.parametrize("kind", ["rectangle", "keypoint"])
def test_a_labels_tag_gives_the_label(kind: str) -> None:
    drawn = {"id": "a", "type": kind, "from_name": "tool", "to_name": "image"}
    drawn["value"] = {"x": 1, "y": 2, "width": 3, "height": 4}
    label = drawn | {"type": "labels", "from_name": "label", "value": {"labels": ["Disc"]}}
    [prompt] = read(drawn, label)
    assert prompt.tool == Tool("tool", "image", "Disc")


@pytest.mark.parametrize("degrees", [0, 30, 90, 200, -45])
def test_a_rotated_box_is_the_box_around_it(degrees: float) -> None:
    prompt = BoxPrompt(Tool("t", "i", "l"), 40, 40, 10, 20, degrees)
    turn = math.radians(degrees)
    corners = [
        (320 + a * math.cos(turn) - b * math.sin(turn), 240 + a * math.sin(turn) + b * math.cos(turn))
        for a in (0, 80)
        for b in (0, 120)
    ]
    expected = [*np.min(corners, 0), *np.max(corners, 0)]
    np.testing.assert_allclose(prompt.box(SIZE), expected, atol=0.01)


def test_a_box_is_cut_at_the_edge_and_refused_outside() -> None:
    np.testing.assert_allclose(
        BoxPrompt(Tool("t", "i", "l"), 90, -5, 20, 10).box(SIZE), [720, 0, 800, 30], atol=0.01
    )
    with pytest.raises(PromptError, match="outside"):
        BoxPrompt(Tool("t", "i", "l"), 120, 10, 20, 10).box(SIZE)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ([shape(x=math.nan)], "x of a drawn shape"),
        ([shape(y=math.inf)], "y of a drawn shape"),
        ([shape(width="3")], "width of a drawn shape"),
        ([shape(height=True)], "height of a drawn shape"),
        ([shape(x=1e300)], "x of a drawn shape"),
        ([shape(x=1000.1)], "x of a drawn shape"),
        ([shape(y=-1000.1)], "y of a drawn shape"),
        ([shape(rotation=None)], "rotation of a drawn shape"),
        ([shape(width=0)], "no area"),
        ([shape(width=-3)], "no area"),
        ([shape(rectanglelabels=[])], "no label"),
        ([shape(rectanglelabels="Disc")], "no label"),
        ([shape(rectanglelabels=[[1]])], "no label"),
        ([shape(value=None)], "no value"),
        ([shape(from_name=None)], "from_name"),
        ([shape(to_name=["image"])], "from_name"),
        ([shape(height=0)], "no area"),
        ([shape("keypointlabels", x=101)], "outside the image"),
        ([shape("keypointlabels", y=-0.1)], "outside the image"),
        ([shape("keypointlabels", y=20), shape("keypointlabels", y=100.1)], "outside the image"),
        ([shape("keypointlabels", is_positive=False)], "on the object"),
        ([shape("keypointlabels", is_positive="no")], "true or false"),
        ([shape("keypointlabels"), shape("keypointlabels", from_name="other")], "do not describe one object"),
        ([shape("keypointlabels"), shape()], "came together"),
        ([shape("brushlabels")], "not brushlabels"),
        ([shape(type=["rectanglelabels"])], "Smart tools answer"),
        (["text"], "list of drawn shapes"),
        ([shape()] * 51, "More than 50"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_sentence(shapes: list[Any], reason: str) -> None:
    with pytest.raises(PromptError, match=reason) as error:
        read(*shapes)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def config(*controls: str) -> str:
    return f'<View><Image name="image" value="$image"/><Image name="other" value="$b"/>{"".join(controls)}</View>'


def control(tag: str, name: str, labels: str = '<Label value="Disc"/>', attributes: str = "") -> str:
    return f'<{tag} name="{name}" toName="image" {attributes}>{labels}</{tag}>'


BOXES, OUTLINES, MASKS = (
    control(tag, name)
    for tag, name in (("RectangleLabels", "box"), ("PolygonLabels", "outline"), ("BrushLabels", "mask"))
)
SKIPPED = control("BrushLabels", "skipped", attributes='model_skip="true"')
ELSEWHERE = MASKS.replace('toName="image"', 'toName="other"')


def target(xml: str, label: str = "Disc", has_masks: bool = True) -> Any:
    spec = LabelSpec.from_config(xml, MODEL_LABELS, default_threshold=0.5)
    return prompt_target(spec, Tool("tool", "image", label), has_masks)


@pytest.mark.parametrize(
    ("controls", "has_masks", "expected"),
    [
        ([BOXES, MASKS], True, "mask"),
        ([BOXES, OUTLINES, MASKS], True, "outline"),
        ([BOXES, MASKS], False, "box"),
        ([BOXES], True, "box"),
        ([SKIPPED, BOXES], True, "box"),
        ([control("BrushLabels", "mask", '<Label value="Ring"/>'), BOXES], True, "box"),
        ([ELSEWHERE, BOXES], True, "box"),
    ],
)
def test_masks_come_first_and_then_boxes(controls: list[str], has_masks: bool, expected: str) -> None:
    assert target(config(*controls), has_masks=has_masks).control.from_name == expected


@pytest.mark.parametrize(
    ("controls", "has_masks", "reason"),
    [
        ([SKIPPED], True, "No tag for boxes or masks on 'image' takes"),
        ([ELSEWHERE], True, "No tag for"),
        ([control("BrushLabels", "mask", '<Label value="Ring"/>')], True, "takes the label 'Disc'"),
        ([MASKS, OUTLINES], False, "makes no masks"),
    ],
)
def test_nowhere_to_put_a_region_is_said(controls: list[str], has_masks: bool, reason: str) -> None:
    with pytest.raises(PromptError, match=reason):
        target(config(*controls), has_masks=has_masks)


def test_the_models_labels_are_those_that_become_the_picked_one() -> None:
    labels = '<Label value="Disc" predicted_values="ring"/><Label value="Wedge"/><Label value="Moon"/>'
    xml = config(control("BrushLabels", "mask", labels))
    assert target(xml).model_labels == ("disc", "ring")
    assert target(xml, "Wedge").model_labels == ("wedge",)
    assert target(xml, "Moon").model_labels == ()


def test_a_label_goes_by_its_alias_in_the_control_that_has_one() -> None:
    xml = config(control("BrushLabels", "mask", '<Label value="Disc" alias="d"/>'))
    assert target(xml, "Disc").label == target(xml, "d").label == "d"
    assert target(xml, "d").model_labels == ("disc",)


def test_points_in_pixels() -> None:
    prompt = PointsPrompt(Tool("t", "i", "l"), ((50.0, 25.0), (100.0, 0.0)), (True, False))
    np.testing.assert_allclose(prompt.pixels((40, 60)), [[30, 10], [60, 0]])
