"""The snippet that `prelabel connect` prints: only what is missing, and a config that works once it is pasted."""

from __future__ import annotations

import pytest
from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.config.smart_tools import missing_tools
from prelabel.labelstudio.config.writing import label_config
from prelabel.labelstudio.regions.prompt_targets import prompt_target
from prelabel.labelstudio.regions.prompts import Tool

LABELS = '<Label value="Disc" background="#fff" hotkey="d"/><Label value="R &amp; D &lt;1&gt;" alias="rd"/>'


def config(*controls: str) -> str:
    return f'<View><Image name="photo" value="$url"/><View>{"".join(controls)}</View></View>'


def control(tag: str, name: str, attributes: str = "", labels: str = LABELS) -> str:
    return f'<{tag} name="{name}" toName="photo" {attributes}>{labels}</{tag}>'


MASKS, BOXES, POINTS = (control(f"{tag}Labels", tag.lower()) for tag in ("Brush", "Rectangle", "KeyPoint"))

PAIR_LABELS = control("Labels", "l")
BARE_BRUSH, BARE_BOX, BARE_POINT = (
    control(tag, tag.lower(), labels="") for tag in ("Brush", "Rectangle", "KeyPoint")
)


def paste(xml: str) -> str:
    return xml.removesuffix("</View>") + missing_tools(xml) + "</View>"


@pytest.mark.parametrize(
    ("controls", "tools"),
    [
        ([MASKS], ["RectangleLabels", "KeyPointLabels"]),
        ([control("PolygonLabels", "outline")], ["RectangleLabels", "KeyPointLabels"]),
        ([MASKS, BOXES], ["KeyPointLabels"]),
        ([BOXES], ["KeyPointLabels"]),
        ([MASKS, control("RectangleLabels", "box", 'smart="false"')], ["RectangleLabels", "KeyPointLabels"]),
        ([MASKS, control("RectangleLabels", "tool", 'model_skip="true"'), POINTS], []),
        ([MASKS, BOXES, POINTS], []),
        ([control("EllipseLabels", "oval")], ["RectangleLabels", "KeyPointLabels"]),
        ([control("BitmaskLabels", "png")], ["RectangleLabels", "KeyPointLabels"]),
        ([PAIR_LABELS, BARE_BRUSH], ["RectangleLabels", "KeyPointLabels"]),
        ([PAIR_LABELS, BARE_BRUSH, BARE_BOX], ["KeyPointLabels"]),
        ([PAIR_LABELS, BARE_BOX, BARE_POINT], []),
        ([BARE_BOX], []),
        ([control("Labels", "l", 'model_skip="true"'), BARE_BOX], []),
        ([control("BrushLabels", "skipped", 'model_skip="true"')], []),
        (['<Choices name="c" toName="photo"><Choice value="x"/></Choices>'], []),
    ],
)
def test_only_what_is_missing(controls: list[str], tools: list[str]) -> None:
    lines = missing_tools(config(*controls)).splitlines()
    opening = [line for line in lines if line.startswith("<") and not line.startswith("</")]
    assert [line[1:].partition(" ")[0] for line in opening] == tools


@pytest.mark.parametrize(
    "controls", [[MASKS], [BOXES], [MASKS, BOXES], [control("PolygonLabels", "o")], [PAIR_LABELS, BARE_BRUSH]]
)
def test_a_pasted_snippet_gives_a_config_in_which_both_tools_find_a_target(controls: list[str]) -> None:
    before, after = config(*controls), paste(config(*controls))
    LabelInterface(after).validate()
    assert missing_tools(after) == ""
    old, new = (LabelSpec.from_config(xml, ["Disc"], 0.5) for xml in (before, after))
    assert new.active == old.active, "the tools are pre-labelled"
    assert ObjectControls.from_config(after).controls == ObjectControls.from_config(before).controls
    for label in ("Disc", "rd"):
        assert prompt_target(new, Tool("smart_point", "photo", label), has_masks=True).label == label


def test_labels_keep_their_name_alias_and_colour_and_leave_the_hot_key() -> None:
    snippet = missing_tools(config(MASKS))
    assert '<Label value="Disc" background="#fff"/>' in snippet
    assert '<Label value="R &amp; D &lt;1&gt;" alias="rd"/>' in snippet
    assert "hotkey" not in snippet


def test_a_tool_with_some_of_the_labels_is_completed_under_a_free_name() -> None:
    some = control("KeyPointLabels", "smart_point", labels='<Label value="Disc"/>')
    snippet = missing_tools(config(MASKS, BOXES, some))
    assert 'name="smart_point2"' in snippet
    assert "rd" in snippet and "Disc" not in snippet


def test_every_image_has_tools_of_its_own() -> None:
    xml = (
        '<View><Image name="a" value="$a"/><Image name="b" value="$b"/>'
        f'<BrushLabels name="m" toName="a">{LABELS}</BrushLabels>'
        f'<RectangleLabels name="r" toName="b">{LABELS}</RectangleLabels></View>'
    )
    snippet = missing_tools(xml)
    assert [line.split("toName=")[1][:3] for line in snippet.splitlines() if "toName=" in line] == [
        '"a"',
        '"a"',
        '"b"',
    ]
    LabelInterface(xml.removesuffix("</View>") + snippet + "</View>").validate()


@pytest.mark.parametrize("has_masks", [True, False])
def test_the_demo_has_its_tools(has_masks: bool) -> None:
    xml = label_config(["apple", 'a "big" <mug>'], has_masks=has_masks)
    assert missing_tools(xml) == ""
    spec = LabelSpec.from_config(xml, ["apple"], 0.5)
    target = prompt_target(spec, Tool("box", "image", "apple"), has_masks)
    assert target.control.from_name == ("mask" if has_masks else "box")
