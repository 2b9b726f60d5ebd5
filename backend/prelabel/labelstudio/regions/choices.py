"""Classes of whole images as Label Studio choices, and back: pure conversion, described in docs/choices.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fbnetv3.arrays import Array
from fbnetv3.classification.suggestions import suggested
from prelabel.labelstudio.config.choice_controls import CHOICES, ChoiceControl
from prelabel.labelstudio.regions.predictions import ID_LENGTH, SCORE_DIGITS, Region


@dataclass(frozen=True, eq=False)
class ClassProbabilities:
    """What a model says of an image: `probabilities` (c,), 0..1, of its `classes`. `exclusive`: they sum to one."""

    classes: tuple[str, ...]
    probabilities: Array
    exclusive: bool


@dataclass(frozen=True)
class ImageChoices:
    """What an annotation says of one image: control -> choices. A control that was not answered is missing; an empty
    list says that none applies. `left_out`: a sentence for each choice that cannot be used, and why.
    """

    choices: dict[str, list[str]]
    left_out: tuple[str, ...] = ()


def choice_probabilities(control: ChoiceControl, found: ClassProbabilities) -> dict[str, float]:
    """Choice -> its probability, 0..1, for the choices that the model has a class for.

    Of several classes that are one choice, exclusive ones add up, and of others the likeliest counts.
    """
    label_map = control.label_map(found.classes)
    combined: dict[str, float] = {}
    for name, probability in zip(found.classes, found.probabilities.tolist(), strict=True):
        if choice := label_map.get(name):
            so_far = combined.get(choice, 0.0)
            both = so_far + probability if found.exclusive else max(so_far, probability)
            combined[choice] = min(both, 1.0)
    return {name: combined[name] for name in control.names if name in combined}


def to_choice_regions(control: ChoiceControl, probabilities: Mapping[str, float]) -> list[Region]:
    """One region with what is chosen; none where nothing is.

    Its score is that of the choice, the lowest of several. `scores` holds the probability of each choice of the
    control; Label Studio stores it with the prediction and shows nothing of it.
    """
    selected = suggested(probabilities, control.score_threshold, control.is_multiple)
    if not selected:
        return []
    region = {
        "from_name": control.from_name,
        "to_name": control.to_name,
        "type": CHOICES,
        "value": {CHOICES: list(selected)},
        "score": round(min(selected.values()), SCORE_DIGITS),
        "scores": {name: round(p, SCORE_DIGITS) for name, p in probabilities.items()},
    }
    content = json.dumps(region, sort_keys=True)
    return [{"id": hashlib.sha256(content.encode()).hexdigest()[:ID_LENGTH], **region}]


def choice_confidence(control: ChoiceControl, probabilities: Mapping[str, float]) -> float:
    """How sure the answer is, 0..1: the probability of the best choice; of any number of choices, that of the least
    certain yes or no. 0.0 where nothing is known.
    """
    if not probabilities:
        return 0.0
    if control.is_multiple:
        return round(min(max(p, 1 - p) for p in probabilities.values()), SCORE_DIGITS)
    return round(max(probabilities.values()), SCORE_DIGITS)


def to_choices(result: Sequence[Mapping[str, Any]], controls: Sequence[ChoiceControl]) -> ImageChoices:
    """What an annotation's regions choose in these controls, which are all on one image."""
    choices: dict[str, list[str]] = {}
    left_out: list[str] = []
    for control in controls:
        answers = [region for region in result if _is_of(region, control)]
        if not answers:
            continue
        given = [name for region in answers for name in _names(region)]
        known = dict.fromkeys(control.name_of[name] for name in given if name in control.name_of)
        unknown = [name for name in given if name not in control.name_of]
        left_out += [f"{control.from_name!r} has no choice {name!r} (any more)" for name in unknown]
        if known or (control.is_multiple and not unknown):
            choices[control.question] = list(known) if control.is_multiple else list(known)[:1]
    return ImageChoices(choices, tuple(left_out))


def _is_of(region: Mapping[str, Any], control: ChoiceControl) -> bool:
    names = (region.get("from_name"), region.get("to_name"), region.get("type"))
    return names == (control.from_name, control.to_name, CHOICES)


def _names(region: Mapping[str, Any]) -> list[str]:
    """The chosen names; what is no list of names is a choice by its own text."""
    value = region.get("value")
    given = value.get(CHOICES) if isinstance(value, Mapping) else None
    names = given if isinstance(given, list) else [given]
    return [name if isinstance(name, str) else json.dumps(name) for name in names if name is not None]
