"""Which labels a config gives to learn, and from which labels of a model each can start."""

from __future__ import annotations

import pytest

from prelabel.labelstudio.config.object_controls import ObjectControls, sources
from prelabel.labelstudio.errors import LabelConfigError

IMAGE = '<Image name="image" value="$image"/>'


def labels(*values: str) -> str:
    return "".join(f'<Label value="{value}"/>' for value in values)


def view(*tags: str) -> str:
    return f"<View>{IMAGE}{''.join(tags)}</View>"


def control(kind: str, *values: str, rest: str = "") -> str:
    return f'<{kind} name="{kind}" toName="image" {rest}>{labels(*values)}</{kind}>'


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([control("RectangleLabels", "b", "a")], ("b", "a")),
        ([control("BrushLabels", "c", "a"), control("PolygonLabels", "a", "b")], ("c", "a", "b")),
        ([control("Labels", "x"), '<Brush name="brush" toName="image"/>'], ("x",)),
        ([control("Labels", "x")], ()),
        ([control("RectangleLabels", "a"), control("BrushLabels", "b", rest='model_skip="true"')], ("a",)),
        ([control("EllipseLabels", "b"), control("BitmaskLabels", "c")], ("b", "c")),
        ([control("Labels", "x"), '<MagicWand name="wand" toName="image"/>'], ("x",)),
        ([control("Labels", "x", rest='model_skip="true"'), '<Ellipse name="e" toName="image"/>'], ()),
        ([control("KeyPointLabels", "a"), control("VectorLabels", "b"), control("Choices")], ()),
        (
            ['<Text name="text" value="$text"/><Labels name="ner" toName="text"><Label value="a"/></Labels>'],
            (),
        ),
    ],
    ids=[
        "order",
        "each once",
        "pair",
        "labels that nothing draws",
        "skipped",
        "later shapes",
        "wand",
        "skipped pair",
        "other shapes",
        "text",
    ],
)
def test_the_labels_to_learn(tags: list[str], expected: tuple[str, ...]) -> None:
    found = ObjectControls.from_config(view(*tags))
    assert found.labels == expected
    assert found.image_keys == (("image",) if expected else ())


def test_a_region_may_carry_an_alias_or_what_it_stands_for() -> None:
    rows = '<Label value="Car" alias="c"/><Label value="c2" alias="Dog"/>'
    found = ObjectControls.from_config(
        view(f'<RectangleLabels name="r" toName="image">{rows}</RectangleLabels>')
    )
    assert found.labels == ("c", "Dog")
    assert found.label_names == {"c": "c", "Car": "c", "Dog": "Dog", "c2": "Dog"}


def test_sources_are_the_labels_that_predictions_come_from() -> None:
    rows = '<Label value="Vehicle" predicted_values="car,truck"/><Label value="DOG"/><Label value="Wedge"/>'
    xml = view(f'<RectangleLabels name="r" toName="image">{rows}</RectangleLabels>')
    model_labels = ["person", "car", "dog", "truck"]
    assert sources(xml, model_labels) == {"Vehicle": ["car", "truck"], "DOG": ["dog"], "Wedge": []}


def test_sources_are_found_control_by_control() -> None:
    """A label of the model becomes one label in each control."""
    xml = view(
        '<RectangleLabels name="r" toName="image"><Label value="Vehicle" predicted_values="car"/></RectangleLabels>',
        control("BrushLabels", "Car"),
    )
    assert sources(xml, ["car"]) == {"Vehicle": ["car"], "Car": ["car"]}


def test_a_config_that_is_no_xml_is_an_error() -> None:
    with pytest.raises(LabelConfigError):
        sources("<View>", ["car"])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([control("RectangleLabels", "a")], "a"),
        ([control("RectangleLabels", "a", "b")], None),
        ([control("RectangleLabels", "a"), control("Labels", "b", "c")], "a"),
        (['<Rectangle name="r" toName="image"/>', control("Labels", "b")], "b"),
        (['<Rectangle name="r" toName="image"/>', control("Labels", "b", "c")], None),
        (['<Rectangle name="r" toName="image"/>', control("BrushLabels", "b")], None),
        (['<Rectangle name="r" toName="image"/>', control("Labels", "b"), control("BrushLabels", "c")], "b"),
    ],
)
def test_the_one_label_that_a_region_without_any_has(tags: list[str], expected: str | None) -> None:
    found = ObjectControls.from_config(view(*tags))
    assert found.only_label(found.controls[0]) == expected


def test_what_the_config_leaves_aside() -> None:
    found = ObjectControls.from_config(
        view(
            control("RectangleLabels", "a"),
            control("BrushLabels", "a", rest='model_skip="true"'),
            control("KeyPointLabels", "a", rest='smart="true"'),
            '<KeyPoint name="clicks" toName="image" smartOnly="true"/>',
            '<KeyPoint name="marks" toName="image"/>',
        )
    )
    assert found.ignored == {"BrushLabels", "KeyPointLabels", "clicks"}
    assert found.objects == {"image": "image"} and "marks" in found.names
