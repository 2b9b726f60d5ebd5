"""What a project's labelling config says of classes of whole images: its Choices tags.

The attributes that steer pre-labelling are those of other controls (see `label_spec`); `predicted_values` stands on
the Choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree

from fbnetv3.classification.suggestions import SUGGESTION_THRESHOLD
from prelabel.labelstudio.config.label_map import ProjectLabel, map_labels
from prelabel.labelstudio.config.repeaters import NAME_IN_CONFIG
from prelabel.labelstudio.config.tags import Tag, image_key_of, parse_config, read_flag, read_threshold
from prelabel.labelstudio.errors import LabelConfigError

CHOICES = "choices"
"""The tag in lower case, the type of its regions, and the key of the choices in their value."""


@dataclass(frozen=True)
class ChoiceControl:
    """A Choices tag on one image tag.

    `image_key`: key of the task data that holds the image. `is_multiple`: any number of choices may be chosen, else
    one. `score_threshold`, 0..1: the lowest probability of a choice that is chosen. `may_be_hidden`, `is_required`:
    why an annotation without an answer need not mean that no choice applies. `name_in_config`:
    on a page of a Repeater, the name before the number of the page was put into it.
    """

    from_name: str
    to_name: str
    image_key: str
    choices: tuple[ProjectLabel, ...]
    is_multiple: bool
    score_threshold: float
    skip: bool
    is_required: bool = False
    may_be_hidden: bool = False
    name_in_config: str = ""

    @property
    def question(self) -> str:
        """What its answers are learnt and kept under; the pages of a Repeater ask the same one."""
        return self.name_in_config or self.from_name

    @property
    def names(self) -> tuple[str, ...]:
        """What regions call the choices, in the order of the config, each once."""
        return tuple(dict.fromkeys(choice.name for choice in self.choices))

    @cached_property
    def name_of(self) -> dict[str, str]:
        """What an annotation may call a choice (an alias was perhaps added later) -> the choice."""
        other = {name: choice.name for choice in reversed(self.choices) for name in choice.names}
        return {**other, **{name: name for name in self.names}}

    @property
    def none_is_an_answer(self) -> bool:
        """Whether an annotation without a choice says that none of them applies."""
        return self.is_multiple and not self.is_required and not self.may_be_hidden

    def label_map(self, model_classes: Sequence[str]) -> Mapping[str, str]:
        """Class of a model -> choice, for the classes that become one, by the rules of `label_map`."""
        return map_labels(self.choices, model_classes)[0]

    def describe(self) -> str:
        """One line for the log."""
        head = f"{CHOICES} {self.from_name!r} on {self.to_name!r}"
        if self.skip:
            return f"{head}: skipped (model_skip)"
        kind = "any of" if self.is_multiple else "one of"
        return f"{head}: score >= {self.score_threshold:g}; {kind}: {', '.join(self.names)}"


@dataclass(frozen=True)
class ChoiceControls:
    """The Choices tags that can be pre-labelled and learnt. `notes`: those that are left out, and why."""

    controls: tuple[ChoiceControl, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, xml: str) -> ChoiceControls:
        """Read a labelling config. Raises LabelConfigError, one sentence."""
        interface = parse_config(xml)
        tags = [tag for tag in interface.controls or () if tag.tag.lower() == CHOICES]
        elements = _elements(interface.config) if tags else {}
        controls: list[ChoiceControl] = []
        notes: list[str] = []
        for tag in tags:
            for name in tag.to_name:
                key, problem = image_key_of(tag.find_object_by_name(name))
                problem = f"{name!r} {problem}" if problem else _problem(tag, elements[tag.name])
                if problem:
                    notes.append(f"{tag.tag} {tag.name!r} is left out: {problem}")
                else:
                    controls.append(_control(tag, name, key, elements[tag.name]))
        return cls(tuple(controls), tuple(dict.fromkeys(notes)))

    @property
    def active(self) -> tuple[ChoiceControl, ...]:
        """The controls that the config does not skip."""
        return tuple(control for control in self.controls if not control.skip)

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys of the task data that hold the images of active controls, in the order of the config, each once."""
        return tuple(dict.fromkeys(control.image_key for control in self.active))

    def on(self, key: str) -> tuple[ChoiceControl, ...]:
        """The active controls on this image."""
        return tuple(control for control in self.active if control.image_key == key)


@dataclass(frozen=True)
class _Element:
    """What the SDK does not tell of a Choices tag."""

    is_nested: bool
    may_be_hidden: bool


def _elements(xml: str) -> dict[str, _Element]:
    """Name of a Choices tag -> what is around it and in it."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise LabelConfigError(f"The labelling config cannot be read: {error}.") from None
    found: dict[str, _Element] = {}

    def walk(element: ElementTree.Element, may_be_hidden: bool) -> None:
        may_be_hidden = may_be_hidden or "visiblewhen" in map(str.lower, element.attrib)
        if element.tag.lower() == CHOICES:
            is_nested = any(child.find(".//Choice") is not None for child in element.iter("Choice"))
            found[element.get("name", "")] = _Element(is_nested, may_be_hidden)
        for child in element:
            walk(child, may_be_hidden)

    walk(root, may_be_hidden=False)
    return found


def _problem(tag: Tag, element: _Element) -> str:
    """Why the choices of a tag cannot be answered; empty where they can be."""
    if _says_true(tag, "perregion") or _says_true(tag, "peritem"):
        return "its choices belong to single regions, and only those of whole images are supported"
    if _says_true(tag, "allownested") or element.is_nested:
        return "its choices are nested, which is not supported: use a flat list"
    if not tag.labels_attrs:
        return "it has no choices in the config: add Choice tags to it"
    return ""


def _control(tag: Tag, to_name: str, image_key: str, element: _Element) -> ChoiceControl:
    choices = (ProjectLabel.from_attributes(name, choice.attr) for name, choice in tag.labels_attrs.items())
    return ChoiceControl(
        from_name=tag.name,
        to_name=to_name,
        image_key=image_key,
        choices=tuple(choices),
        is_multiple=tag.attr.get("choice", "").strip().lower() == "multiple",
        score_threshold=read_threshold(tag, SUGGESTION_THRESHOLD),
        skip=read_flag(tag, "model_skip"),
        is_required=_says_true(tag, "required"),
        may_be_hidden=element.may_be_hidden,
        name_in_config=tag.attr.get(NAME_IN_CONFIG, ""),
    )


def _says_true(tag: Tag, attribute: str) -> bool:
    """Whether an attribute of Label Studio's own, given in lower case, is true; it takes them in any case."""
    return any(name.lower() == attribute and text.lower() == "true" for name, text in tag.attr.items())
