"""Choices tags as they are read from labelling configs: what is asked, and what is left out and why."""

from __future__ import annotations

import pytest

from fbnetv3.classification.suggestions import SUGGESTION_THRESHOLD
from prelabel.labelstudio.config.choice_controls import ChoiceControl, ChoiceControls
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.errors import LabelConfigError

ROWS = '<Choice value="sun"/><Choice value="rain"/>'


def controls_of(choices: str, images: str = '<Image name="image" value="$image"/>') -> ChoiceControls:
    return ChoiceControls.from_config(f"<View>{images}{choices}</View>")


def control_of(attributes: str = "", rows: str = ROWS) -> ChoiceControl:
    [control] = controls_of(f'<Choices name="weather" toName="image" {attributes}>{rows}</Choices>').controls
    return control


def test_a_control_with_its_choices():
    control = control_of()
    assert (control.from_name, control.to_name, control.image_key) == ("weather", "image", "image")
    assert control.names == ("sun", "rain")
    assert (control.score_threshold, control.skip) == (SUGGESTION_THRESHOLD, False)


@pytest.mark.parametrize(
    ("choice", "is_multiple"),
    [("", False), ('choice="single"', False), ('choice="single-radio"', False), ('choice="multiple"', True)],
)
def test_one_or_any_number(choice, is_multiple):
    assert control_of(choice).is_multiple is is_multiple


def test_thresholds_and_skipping():
    assert control_of('model_score_threshold="0.9"').score_threshold == 0.9
    assert control_of('model_skip="true"').skip
    skipped = controls_of(f'<Choices name="w" toName="image" model_skip="true">{ROWS}</Choices>')
    assert (skipped.active, skipped.image_keys) == ((), ())
    with pytest.raises(LabelConfigError, match=r"model_score_threshold of Choices 'weather' .* not '7'"):
        control_of('model_score_threshold="7"')


def test_regions_carry_the_alias_and_old_ones_may_carry_the_value():
    control = control_of(rows='<Choice value="Sonne" alias="sun"/><Choice value="rain"/>')
    assert control.names == ("sun", "rain")
    assert control.name_of == {"Sonne": "sun", "sun": "sun", "rain": "rain"}


def test_classes_of_a_model_become_choices():
    control = control_of(rows='<Choice value="dog" predicted_values="pug, beagle"/><Choice value="Cat"/>')
    assert control.label_map(("beagle", "cat", "pug", "car")) == {"beagle": "dog", "pug": "dog", "cat": "Cat"}


@pytest.mark.parametrize(
    ("attributes", "rows", "says"),
    [
        ('perRegion="true"', ROWS, "single regions"),
        ('perregion="true"', ROWS, "single regions"),
        ('perItem="true"', ROWS, "single regions"),
        ('allowNested="true"', ROWS, "nested"),
        ("", f'<Choice value="wet">{ROWS}</Choice>', "nested"),
        ('value="$options"', "", "no choices in the config"),
    ],
)
def test_what_cannot_be_answered_is_left_out_with_a_note(attributes, rows, says):
    found = controls_of(f'<Choices name="weather" toName="image" {attributes}>{rows}</Choices>')
    assert found.controls == ()
    [note] = found.notes
    assert note.startswith("Choices 'weather' is left out: ") and says in note


def test_choices_of_a_text_are_left_out():
    found = controls_of(f'<Choices name="w" toName="t">{ROWS}</Choices>', '<Text name="t" value="$text"/>')
    assert found.notes == (
        "Choices 'w' is left out: 't' is not an Image tag but Text, which is not looked at: show an image with an "
        "Image tag",
    )


def test_choices_of_several_images_each_have_their_own():
    images = '<Image name="a" value="$left"/><Image name="b" value="$right"/>'
    found = controls_of(f'<Choices name="w" toName="a,b">{ROWS}</Choices>', images)
    assert found.image_keys == ("left", "right")
    assert [control.to_name for control in found.on("right")] == ["b"]


@pytest.mark.parametrize(
    ("attributes", "is_an_answer"),
    [
        ('choice="multiple"', True),
        ('choice="single"', False),
        ('choice="multiple" required="true"', False),
        ('choice="multiple" required="false"', True),
        ('choice="multiple" visibleWhen="region-selected"', False),
    ],
)
def test_when_no_choice_is_an_answer(attributes, is_an_answer):
    assert control_of(attributes).none_is_an_answer is is_an_answer


def test_a_control_in_a_view_that_may_be_hidden():
    inner = f'<Choices name="w" toName="image" choice="multiple">{ROWS}</Choices>'
    found = controls_of(f'<View visibleWhen="choice-selected" whenTagName="q">{inner}</View>')
    assert not found.controls[0].none_is_an_answer


def test_the_log_speaks_of_choices_too():
    spec = LabelSpec.from_config(
        f"""<View><Image name="image" value="$image"/><RectangleLabels name="r" toName="image"><Label value="car"/>
        </RectangleLabels><Choices name="w" toName="image" model_score_threshold="0.7">{ROWS}</Choices>
        <Choices name="each" toName="image" perRegion="true">{ROWS}</Choices></View>""",
        ["car"],
        0.3,
    )
    assert spec.describe() == [
        "rectanglelabels 'r' on 'image': score >= 0.3; labels: car -> car",
        "choices 'w' on 'image': score >= 0.7; one of: sun, rain",
        "Choices 'each' is left out: its choices belong to single regions, and only those of whole images are "
        "supported",
    ]


def test_a_project_of_choices_has_its_images():
    spec = LabelSpec.from_config(
        f'<View><Image name="i" value="$photo"/><Choices name="w" toName="i">{ROWS}</Choices></View>', [], 0.3
    )
    assert (spec.image_keys, spec.active, spec.notes) == (("photo",), (), ())
