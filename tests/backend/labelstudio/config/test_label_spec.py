"""What is read from labelling configs: controls, images, thresholds, label maps, and what is wrong."""

from __future__ import annotations

import pytest

from prelabel.labelstudio.config.image_values import image_value
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.errors import LabelConfigError

MODEL_LABELS = ("person", "car", "truck", "dog", "wolf")


def spec_of(
    controls: str, images: str = '<Image name="image" value="$image"/>', threshold: float = 0.5
) -> LabelSpec:
    return LabelSpec.from_config(f"<View>{images}{controls}</View>", MODEL_LABELS, threshold)


def label_map(labels: str) -> dict[str, str]:
    (control,) = spec_of(f'<RectangleLabels name="r" toName="image">{labels}</RectangleLabels>').controls
    return dict(control.label_map)


def test_controls_of_three_kinds_in_any_mix_and_others_ignored():
    spec = spec_of(
        """<RectangleLabels name="boxes" toName="image"><Label value="person"/></RectangleLabels>
        <View><Header value="Masks"/>
          <BrushLabels name="masks" toName="image"><Label value="car"/></BrushLabels></View>
        <KeyPointLabels name="points" toName="image" smart="true"><Label value="car"/></KeyPointLabels>
        <Choices name="quality" toName="image"><Choice value="ok"/></Choices>
        <PolygonLabels name="outlines" toName="image"><Label value="dog"/></PolygonLabels>"""
    )

    assert [(control.from_name, control.region_type) for control in spec.controls] == [
        ("boxes", "rectanglelabels"),
        ("masks", "brushlabels"),
        ("outlines", "polygonlabels"),
    ]
    assert {control.to_name for control in spec.controls} == {"image"}
    assert [control.needs_masks for control in spec.controls] == [False, True, True]
    assert spec.image_keys == ("image",)


def test_ellipses_and_bitmasks_are_pre_labelled_too():
    spec = spec_of(
        """<EllipseLabels name="e" toName="image"><Label value="person"/></EllipseLabels>
        <BitmaskLabels name="b" toName="image"><Label value="car"/></BitmaskLabels>"""
    )
    assert [(control.from_name, control.region_type) for control in spec.controls] == [
        ("e", "ellipselabels"),
        ("b", "bitmasklabels"),
    ]
    assert [control.needs_masks for control in spec.controls] == [False, True]
    assert spec.wanted_mask_scores() == {"person": 0.5, "car": 0.5}, "an ellipse is fitted to a mask"


@pytest.mark.parametrize("shape", ["Rectangle", "Polygon", "Brush", "Ellipse", "Bitmask"])
def test_a_shape_has_the_labels_of_the_labels_tag_on_its_image(shape: str):
    spec = spec_of(
        f"""<Labels name="l" toName="image"><Label value="Vehicle" predicted_values="car,truck"/>
          <Label value="unicorn"/></Labels>
        <Labels name="words" toName="text"><Label value="dog"/></Labels>
        <{shape} name="s" toName="image"/>""",
        images='<Image name="image" value="$image"/><Text name="text" value="$text"/>',
    )
    (control,) = spec.controls
    assert (control.from_name, control.labels_from, control.region_type) == ("s", "l", shape.lower())
    assert control.label_map == {"car": "Vehicle", "truck": "Vehicle"}
    assert control.unmatched == ("unicorn",)
    assert spec.describe()[0].startswith(f"Labels 'l' + {shape} 's' on 'image': score >= 0.5; labels: car")


@pytest.mark.parametrize(
    ("on_labels", "on_shape", "threshold", "skip"),
    [
        ("", "", 0.5, False),
        ('model_score_threshold="0.3"', "", 0.3, False),
        ('model_score_threshold="0.3"', 'model_score_threshold="0"', 0.0, False),
        ('model_skip="true"', "", 0.5, True),
        ("", 'model_skip="true"', 0.5, True),
    ],
)
def test_of_a_pair_both_tags_may_say_how_it_is_pre_labelled(
    on_labels: str, on_shape: str, threshold: float, skip: bool
):
    (control,) = spec_of(
        f"""<Labels name="l" toName="image" {on_labels}><Label value="car"/></Labels>
        <Rectangle name="r" toName="image" {on_shape}/>"""
    ).controls
    assert (control.score_threshold, control.skip) == (threshold, skip)


def test_an_object_is_drawn_once_where_two_labels_tags_have_its_label():
    spec = spec_of(
        """<Labels name="one" toName="image"><Label value="car"/></Labels>
        <Labels name="two" toName="image"><Label value="car"/><Label value="dog"/></Labels>
        <Rectangle name="r" toName="image"/>"""
    )
    assert [(c.labels_from, dict(c.label_map)) for c in spec.controls] == [
        ("one", {"car": "car"}),
        ("two", {"dog": "dog"}),
    ]


def test_a_shape_that_nothing_labels_is_left_out_and_said_so():
    spec = spec_of('<Rectangle name="r" toName="image"/>')
    assert spec.controls == ()
    assert spec.notes[0] == (
        "Rectangle 'r' gets no pre-labels: no Labels tag labels what it draws: add one on the same image, or use "
        "RectangleLabels"
    )


def test_several_images_each_with_their_own_controls():
    spec = spec_of(
        """<RectangleLabels name="both" toName="left,right"><Label value="car"/></RectangleLabels>
        <BrushLabels name="one" toName="right"><Label value="car"/></BrushLabels>""",
        images='<Image name="left" value="$photos.left"/><Image name="right" value="$right"/>',
    )

    assert spec.image_keys == ("photos.left", "right")
    assert [(control.from_name, control.to_name) for control in spec.controls_for("right")] == [
        ("both", "right"),
        ("one", "right"),
    ]
    assert [control.from_name for control in spec.controls_for("photos.left")] == ["both"]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"photos.left": "a"}, "a"),
        ({"photos": {"left": "b"}}, "b"),
        ({"photos": "c"}, None),
        ({}, None),
    ],
)
def test_image_value_literally_or_by_path(data: dict, value: str | None):
    assert image_value(data, "photos.left") == value


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('<Label value="person"/>', {"person": "person"}),
        ('<Label value="Person"/>', {"person": "Person"}),
        ('<Label value="PERSON"/><Label value="person"/>', {"person": "person"}),
        (
            '<Label value="Vehicle" predicted_values="car, truck"/>',
            {"car": "Vehicle", "truck": "Vehicle"},
        ),
        # the same name but for its case goes before a claim
        (
            '<Label value="Wolf"/><Label value="Animal" predicted_values="wolf,dog"/><Label value="dog"/>',
            {"wolf": "Wolf", "dog": "dog"},
        ),
        ('<Label value="dog" predicted_values="wolf"/>', {"dog": "dog", "wolf": "dog"}),
        ('<Label value="person" alias="human"/>', {"person": "human"}),
        ('<Label value="x" alias="Car"/>', {"car": "Car"}),
        ('<Label value="A" predicted_values="car"/><Label value="B" predicted_values="car"/>', {"car": "A"}),
        ('<Label value="unicorn"/>', {}),
        ("<Label/>", {}),
    ],
)
def test_model_labels_become_project_labels(labels: str, expected: dict[str, str]):
    assert label_map(labels) == expected


def test_unmatched_labels_and_claims_that_came_to_nothing_are_named():
    spec = spec_of(
        """<RectangleLabels name="r" toName="image">
        <Label value="person"/><Label value="unicorn" predicted_values="Person,person,horse"/>
        </RectangleLabels>"""
    )

    assert spec.controls[0].unmatched == ("unicorn",)
    assert spec.describe() == [
        "rectanglelabels 'r' on 'image': score >= 0.5; labels: person -> person; without a match: unicorn",
        "RectangleLabels 'r': unicorn claims 'Person', which the model does not know",
        "RectangleLabels 'r': unicorn claims 'person', which is taken by person",
        "RectangleLabels 'r': unicorn claims 'horse', which the model does not know",
    ]


def test_thresholds_and_skips_are_per_control():
    spec = spec_of(
        """<RectangleLabels name="a" toName="image" model_score_threshold="0.25">
          <Label value="car"/></RectangleLabels>
        <PolygonLabels name="b" toName="image" model_skip="True" model_score_threshold="0">
          <Label value="car"/></PolygonLabels>
        <BrushLabels name="c" toName="image" model_skip="false"><Label value="car"/></BrushLabels>"""
    )

    assert [(control.score_threshold, control.skip) for control in spec.controls] == [
        (0.25, False),
        (0.0, True),
        (0.5, False),
    ]
    assert [control.from_name for control in spec.controls_for("image")] == ["a", "c"]
    assert spec.lowest_threshold == 0.25
    assert spec.describe(has_masks=False)[1:] == [
        "polygonlabels 'b' on 'image': skipped (model_skip)",
        "brushlabels 'c' on 'image': nothing, because these weights have boxes and no masks",
    ]


OWN = {"car": 0.2, "truck": 0.6, "dog": 0.5, "wolf": 1.01}


def with_own_thresholds(controls: str) -> LabelSpec:
    image = '<Image name="image" value="$image"/>'
    return LabelSpec.from_config(f"<View>{image}{controls}</View>", MODEL_LABELS, 0.3, OWN)


def test_each_label_of_the_model_has_its_own_threshold_where_labels_are_joined():
    spec = with_own_thresholds(
        """<BrushLabels name="m" toName="image"><Label value="person"/><Label value="wolf"/>
        <Label value="Vehicle" predicted_values="car,truck"/></BrushLabels>"""
    )
    (control,) = spec.controls
    thresholds = {label: control.threshold_of(label) for label in control.label_map}
    assert thresholds == {"person": 0.3, "wolf": 1.01, "car": 0.2, "truck": 0.6}
    assert spec.lowest_threshold == control.lowest_threshold == 0.2
    assert spec.wanted_scores() == dict.fromkeys(thresholds, 0.2)
    assert spec.wanted_mask_scores() == thresholds | {"wolf": 1.0}
    [line] = spec.describe()
    assert line.endswith(
        "score >= 0.3; labels: person -> person, car -> Vehicle (score >= 0.2), "
        "truck -> Vehicle (score >= 0.6), wolf -> wolf (not shown)"
    )


def test_the_tag_overrides_the_thresholds_of_labels():
    spec = with_own_thresholds(
        """<RectangleLabels name="r" toName="image" model_score_threshold="0.7"><Label value="car"/>
        <Label value="wolf"/></RectangleLabels>"""
    )
    assert [spec.controls[0].threshold_of(label) for label in ("car", "wolf")] == [0.7, 0.7]
    assert spec.lowest_threshold == 0.7


def test_where_no_label_is_shown_the_detector_is_asked_for_certainty():
    spec = with_own_thresholds(
        '<RectangleLabels name="r" toName="image"><Label value="wolf"/></RectangleLabels>'
    )
    assert spec.lowest_threshold == 1.0 and spec.wanted_scores() == {"wolf": 1.0}


def test_images_of_skipped_controls_are_not_looked_at():
    spec = spec_of(
        '<BrushLabels name="m" toName="image" model_skip="true"><Label value="car"/></BrushLabels>',
    )
    assert spec.image_keys == ()
    assert spec.lowest_threshold == 1.0


def test_scores_from_which_on_boxes_and_masks_are_wanted():
    """Boxes by the lowest threshold of all controls, masks by that of the controls that are made from masks."""
    spec = spec_of(
        """<RectangleLabels name="a" toName="image" model_score_threshold="0.3">
          <Label value="car"/><Label value="person"/></RectangleLabels>
        <PolygonLabels name="b" toName="image" model_score_threshold="0.7">
          <Label value="car"/><Label value="Animal" predicted_values="dog,wolf"/></PolygonLabels>
        <BrushLabels name="c" toName="image" model_score_threshold="0.6"><Label value="car"/></BrushLabels>"""
    )

    assert spec.wanted_scores() == {"car": 0.3, "person": 0.3, "dog": 0.3, "wolf": 0.3}
    assert spec.wanted_mask_scores() == {"car": 0.6, "dog": 0.7, "wolf": 0.7}


def test_the_order_of_controls_does_not_decide_which_masks_are_wanted():
    thresholds = ("0.9", "0.2", "0.4")
    spec = spec_of(
        "".join(
            f'''<BrushLabels name="m{value}" toName="image" model_score_threshold="{value}">
            <Label value="car"/></BrushLabels>'''
            for value in thresholds
        )
    )
    assert spec.wanted_mask_scores() == spec.wanted_scores() == {"car": 0.2}


def test_boxes_alone_want_no_masks():
    spec = spec_of('<RectangleLabels name="r" toName="image"><Label value="car"/></RectangleLabels>')
    assert spec.wanted_scores() == {"car": 0.5}
    assert spec.wanted_mask_scores() == {}


def test_skipped_controls_and_labels_that_the_model_lacks_want_nothing():
    spec = spec_of(
        """<RectangleLabels name="r" toName="image"><Label value="unicorn"/><Label value="dog"/></RectangleLabels>
        <BrushLabels name="m" toName="image" model_skip="true" model_score_threshold="0.1">
          <Label value="car"/></BrushLabels>"""
    )
    assert spec.wanted_scores() == {"dog": 0.5}
    assert spec.wanted_mask_scores() == {}
    assert spec_of("").wanted_scores() == {}


@pytest.mark.parametrize(
    ("images", "note"),
    [
        ("", "'image' is not an Image tag"),
        ('<Text name="image" value="$text"/>', "'image' is not an Image tag"),
        ('<Image name="image" valueList="$pages"/>', "shows a list of images"),
        ('<Image name="image" value="https://example.com/a.jpg"/>', "has a fixed value"),
    ],
)
def test_controls_on_anything_but_one_image_are_left_out_and_said_so(images: str, note: str):
    spec = spec_of('<RectangleLabels name="r" toName="image"><Label value="car"/></RectangleLabels>', images)

    assert spec.controls == ()
    assert any(note in line for line in spec.describe())
    assert "nothing will be pre-labelled" in spec.describe()[-1]


def test_a_config_without_controls_is_no_error():
    assert spec_of("").controls == ()


@pytest.mark.parametrize(
    "config",
    [
        "",
        "<View",
        "words",
        "<View></Vieu>",
        '<!DOCTYPE v [<!ENTITY e SYSTEM "file:///etc/passwd">]><View>&e;</View>',
        None,
    ],
)
def test_what_is_not_xml_is_one_sentence(config: str):
    with pytest.raises(LabelConfigError) as error:
        LabelSpec.from_config(config, MODEL_LABELS, 0.5)
    assert str(error.value).startswith("The labelling config ")
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (
            'model_score_threshold="high"',
            "model_score_threshold of BrushLabels 'm' must be a number from 0 to 1",
        ),
        ('model_score_threshold="1.5"', "must be a number from 0 to 1, not '1.5'"),
        ('model_score_threshold="nan"', "must be a number from 0 to 1, not 'nan'"),
        ('model_skip="perhaps"', "model_skip of BrushLabels 'm' must be true or false, not 'perhaps'"),
    ],
)
def test_impossible_attributes_are_named(attribute: str, message: str):
    with pytest.raises(LabelConfigError, match=message):
        spec_of(f'<BrushLabels name="m" toName="image" {attribute}><Label value="car"/></BrushLabels>')


def test_a_repeater_without_its_list_is_named() -> None:
    xml = (
        '<View><Repeater indexFlag="{{idx}}"><Image name="p_{{idx}}" value="$images[{{idx}}]"/>'
        '<RectangleLabels name="r_{{idx}}" toName="p_{{idx}}"><Label value="car"/></RectangleLabels></Repeater></View>'
    )
    notes = LabelSpec.from_config(xml, ["car"], 0.3).left_out
    assert any(note.startswith("Repeater has no list of pages") for note in notes)


@pytest.mark.parametrize(("tag", "says"), [("name", "has no toName"), ("toName", "has no name")])
def test_a_tag_without_its_name_or_image_is_named(tag: str, says: str) -> None:
    value = {"name": "r", "toName": "image"}[tag]
    spec = spec_of(f'<RectangleLabels {tag}="{value}"><Label value="car"/></RectangleLabels>')
    assert any(note.startswith("RectangleLabels") and says in note for note in spec.left_out)


@pytest.mark.parametrize("start", ['<?xml version="1.0" encoding="UTF-8"?>', '\ufeff<?xml version="1.0"?>\n'])
def test_a_declaration_before_the_config_is_passed_over(start: str) -> None:
    xml = (
        f'{start}<View><Image name="image" value="$image"/>'
        '<RectangleLabels name="r" toName="image"><Label value="car"/></RectangleLabels></View>'
    )
    assert LabelSpec.from_config(xml, ["car"], 0.3).controls[0].label_map == {"car": "car"}


def test_spaces_around_a_label_make_no_difference() -> None:
    spec = spec_of('<RectangleLabels name="r" toName="image"><Label value=" Car "/></RectangleLabels>')
    assert dict(spec.controls[0].label_map) == {"car": " Car "}
