"""Probabilities to Label Studio's choices, and what people chose back to classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config.choice_controls import ChoiceControl, ChoiceControls
from prelabel.labelstudio.regions.choices import (
    ClassProbabilities,
    choice_confidence,
    choice_probabilities,
    to_choice_regions,
    to_choices,
)

CONFIG = """<View><Image name="image" value="$image"/>
  <Choices name="one" toName="image" choice="single"><Choice value="Sun" alias="sun" predicted_values="dry"/>
    <Choice value="rain"/><Choice value="snow"/></Choices>
  <Choices name="any" toName="image" choice="multiple"><Choice value="car"/><Choice value="dog"/></Choices></View>"""
ONE, ANY = ChoiceControls.from_config(CONFIG).controls


def found(exclusive: bool = True, **probabilities: float) -> ClassProbabilities:
    return ClassProbabilities(tuple(probabilities), np.array(list(probabilities.values())), exclusive)


def chosen(control: ChoiceControl, **probabilities: float) -> list[str]:
    return [
        name for region in to_choice_regions(control, probabilities) for name in region["value"]["choices"]
    ]


def region(control: str, *choices: Any, **fields: Any) -> dict[str, Any]:
    value = {"choices": list(choices)}
    return {"from_name": control, "to_name": "image", "type": "choices", "value": value, "id": "x"} | fields


def test_a_single_choice_is_the_likeliest_if_it_is_likely_enough():
    assert chosen(ONE, sun=0.3, rain=0.6, snow=0.1) == ["rain"]
    assert chosen(ONE, sun=0.5, rain=0.5) == ["sun"]
    assert to_choice_regions(ONE, {"sun": 0.4, "rain": 0.35, "snow": 0.25}) == []


def test_a_multiple_choice_is_all_that_are_likely_enough():
    assert chosen(ANY, car=0.9, dog=0.5) == ["car", "dog"]
    assert chosen(ANY, car=0.2, dog=0.7) == ["dog"]
    assert to_choice_regions(ANY, {"car": 0.49, "dog": 0.1}) == []


def test_a_region_is_valid_and_has_scores():
    [single] = to_choice_regions(ONE, {"sun": 0.61234567, "rain": 0.3, "snow": 0.1})
    [multiple] = to_choice_regions(ANY, {"car": 0.9, "dog": 0.6})
    assert (single["score"], multiple["score"]) == (0.6123, 0.6)
    assert single["scores"] == {"sun": 0.6123, "rain": 0.3, "snow": 0.1}
    prediction = {"result": [single, multiple], "score": 0.5, "model_version": "p1-v1"}
    assert LabelInterface(CONFIG).validate_prediction(prediction, return_errors=True) == []
    assert to_choice_regions(ANY, {"car": 0.9, "dog": 0.6}) == [multiple]
    assert single["id"] != multiple["id"]


def test_classes_become_choices_by_name_or_claim():
    of_one = choice_probabilities(ONE, found(Rain=0.2, dry=0.3, sun=0.1, fog=0.4))
    assert of_one == pytest.approx({"sun": 0.4, "rain": 0.2})
    assert list(of_one) == ["sun", "rain"], "in the order of the config, unknown ones left out"
    assert choice_probabilities(ONE, found(exclusive=False, sun=0.7, dry=0.8)) == {"sun": 0.8}
    assert choice_probabilities(ANY, found(fog=1.0)) == {}


def test_confidence_is_low_where_it_could_be_either():
    assert choice_confidence(ONE, {"sun": 0.4, "rain": 0.35, "snow": 0.25}) == 0.4
    assert choice_confidence(ANY, {"car": 0.05, "dog": 0.6}) == 0.6
    assert choice_confidence(ANY, {"car": 0.05, "dog": 0.02}) == 0.95, "surely none"
    assert choice_confidence(ONE, {}) == 0.0


def test_what_people_chose():
    read = to_choices(
        [region("one", "rain"), region("any", "dog", "car"), region("other", "dog")], [ONE, ANY]
    )
    assert (read.choices, read.left_out) == ({"one": ["rain"], "any": ["dog", "car"]}, ())
    assert to_choices([region("one", "rain", to_name="elsewhere")], [ONE]).choices == {}
    assert to_choices([], [ONE, ANY]).choices == {}


def test_a_choice_from_before_it_had_an_alias():
    assert to_choices([region("one", "Sun")], [ONE]).choices == {"one": ["sun"]}


@pytest.mark.parametrize(
    ("answer", "choices"),
    [
        (region("one", "hail"), {}),
        (region("any", "hail"), {}),
        (region("any", "hail", "car"), {"any": ["car"]}),
        (region("any", ["vehicle", "car"]), {}),
        (region("one", value={"choices": "hail"}), {}),
    ],
    ids=["single", "multiple", "one of two", "nested", "text"],
)
def test_a_choice_that_is_gone_is_left_out_with_a_reason(answer, choices):
    read = to_choices([answer], [ONE, ANY])
    assert read.choices == choices
    assert [reason.endswith("(any more)") for reason in read.left_out] == [True]


@pytest.mark.parametrize("value", [None, {}, {"choices": None}, "text"])
def test_a_damaged_answer_is_none(value):
    assert to_choices([region("one", value=value)], [ONE]).choices == {}
