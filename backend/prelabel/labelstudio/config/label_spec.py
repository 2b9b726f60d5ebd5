"""What a project's labelling config asks of a detector: which controls, on which images, with which labels.

Attributes of the config that steer pre-labelling, the names that the ML-backend examples use:

    <RectangleLabels model_score_threshold="0.4">   the lowest score that becomes a region of this control
    <BrushLabels model_skip="true">                 never pre-label this control
    <Label value="Vehicle" predicted_values="car,truck">   labels of the model that become this label

Where a tag that draws without labels, such as Rectangle, has them from a Labels tag on the same image, either of the
two may say the first two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config.choice_controls import ChoiceControls
from prelabel.labelstudio.config.image_values import image_value
from prelabel.labelstudio.config.label_map import ProjectLabel, map_labels
from prelabel.labelstudio.config.object_controls import label_tags
from prelabel.labelstudio.config.repeaters import (
    WITHOUT_LIST,
    flags_of_names,
    missing_flags,
    repeaters_without_list,
)
from prelabel.labelstudio.config.tags import Tag, image_key_of, parse_config, read_flag, read_threshold
from prelabel.labelstudio.config.unsupported import (
    nothing_to_fill,
    same_on_every_page,
    unsupported,
    without_name,
)
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.labelstudio.shapes import SHAPE_OF_TAG, Shape

__all__ = ["ControlSpec", "LabelConfigError", "LabelSpec", "image_value", "predicted_shape"]


@dataclass(frozen=True)
class ControlSpec:
    """One control tag on one image tag.

    `shape`: what it draws. `labels_from`: the tag that its regions have their label from, itself or a Labels tag.
    `image_key`: key of the task data that holds the image. `labels`: all of the project that its regions can have.
    `label_map`: label of the model -> of the project. `score_threshold`: the lowest score, 0..1, that becomes a region.
    `skip`: the config says to leave it out. `unmatched`: labels of the project that no label of the model becomes.
    """

    from_name: str
    to_name: str
    shape: Shape
    labels_from: str
    image_key: str
    labels: tuple[ProjectLabel, ...]
    label_map: Mapping[str, str]
    score_threshold: float
    skip: bool
    unmatched: tuple[str, ...]

    @property
    def is_pair(self) -> bool:
        """Whether a Labels tag says what its regions show."""
        return self.labels_from != self.from_name

    @property
    def region_type(self) -> str:
        """The type of its regions."""
        return self.shape.bare_type if self.is_pair else self.shape.labelled_type

    @property
    def needs_masks(self) -> bool:
        """Whether its regions are made from masks alone."""
        return self.shape.masks == "needed"

    @property
    def uses_masks(self) -> bool:
        """Whether its regions are made from masks where there are some."""
        return self.shape.masks != "unused"

    @property
    def name(self) -> str:
        """Its tag and name, as they stand in the config."""
        if self.is_pair:
            return f"Labels {self.labels_from!r} + {self.shape.tag} {self.from_name!r}"
        return f"{self.region_type} {self.from_name!r}"

    def describe(self, has_masks: bool) -> str:
        """One line for the log."""
        head = f"{self.name} on {self.to_name!r}"
        if self.skip:
            return f"{head}: skipped (model_skip)"
        if self.needs_masks and not has_masks:
            return f"{head}: nothing, because these weights have boxes and no masks"
        pairs = ", ".join(f"{model} -> {project}" for model, project in self.label_map.items()) or "none"
        line = f"{head}: score >= {self.score_threshold:g}; labels: {pairs}"
        return f"{line}; without a match: {', '.join(self.unmatched)}" if self.unmatched else line


@dataclass(frozen=True)
class LabelSpec:
    """The control tags of a project that can be pre-labelled; with none of them, predictions are empty.

    `controls` get regions; `choices` get classes of the whole image. `interface`: the SDK's view of the config, which
    validates predictions. `notes`: what is left out, and why. `left_out`: those of them about tags that are not
    followed, with what to use instead.
    """

    controls: tuple[ControlSpec, ...]
    interface: LabelInterface
    notes: tuple[str, ...] = ()
    choices: ChoiceControls = field(default_factory=ChoiceControls)
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, xml: str, model_labels: Sequence[str], default_threshold: float) -> LabelSpec:
        """Read a labelling config for a model with these labels.

        `default_threshold`, 0..1, is for controls without a threshold of their own.
        Raises LabelConfigError, one sentence, when it is not XML or an attribute has an impossible value.
        """
        interface = parse_config(xml)
        controls: list[ControlSpec] = []
        left_out: list[str] = []
        remarks: list[str] = []
        tags = list(interface.controls or ())
        for tag in tags:
            shape = predicted_shape(tag)
            for name in tag.to_name if shape else ():
                key, problem = image_key_of(tag.find_object_by_name(name))
                if problem:
                    left_out.append(f"{tag.tag} {tag.name!r} is left out: {name!r} {problem}")
                else:
                    labelling = label_tags(tag, name, tags)
                    controls += _controls(tag, labelling, name, key, model_labels, default_threshold, remarks)
        choices = ChoiceControls.from_config(xml)
        left_out += [*choices.notes, *unsupported(interface)]
        flags = flags_of_names(xml).items()
        left_out += [
            same_on_every_page(name, gone) for name, of in flags if (gone := missing_flags(name, of))
        ]
        left_out += [*([WITHOUT_LIST] if repeaters_without_list(xml) else []), *without_name(xml)]
        if not controls and not choices.controls:
            left_out.append(nothing_to_fill(interface))
        left_out = list(dict.fromkeys(left_out))
        notes = tuple(dict.fromkeys([*left_out, *remarks]))
        return cls(tuple(controls), interface, notes, choices, tuple(left_out))

    @property
    def active(self) -> tuple[ControlSpec, ...]:
        """The controls with regions that the config does not skip."""
        return tuple(control for control in self.controls if not control.skip)

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys of the task data that hold the images to look at, in the order of the config, each once."""
        return tuple(
            dict.fromkeys([control.image_key for control in self.active] + [*self.choices.image_keys])
        )

    @property
    def lowest_threshold(self) -> float:
        """The lowest score that some control wants: a detector need not report less. 1.0 without controls."""
        return min((control.score_threshold for control in self.active), default=1.0)

    def wanted_scores(self) -> dict[str, float]:
        """The lowest score that matters for each label of the model that some control takes.

        It is `lowest_threshold` for all of them: how near a weak candidate came tells how sure an empty image is.
        """
        labels = (label for control in self.active for label in control.label_map)
        return dict.fromkeys(labels, self.lowest_threshold)

    def wanted_mask_scores(self) -> dict[str, float]:
        """The lowest score with which an instance of each label becomes a region that is made from its mask."""
        wanted: dict[str, float] = {}
        for control in self.active:
            for label in control.label_map if control.uses_masks else ():
                wanted[label] = min(control.score_threshold, wanted.get(label, 1.0))
        return wanted

    def controls_for(self, image_key: str) -> tuple[ControlSpec, ...]:
        """The controls that are not skipped on this image."""
        return tuple(control for control in self.active if control.image_key == image_key)

    def describe(self, has_masks: bool = True) -> list[str]:
        """Lines for the log at setup: what becomes what, and what is left out and why."""
        choices = (control.describe() for control in self.choices.controls)
        return [*(control.describe(has_masks) for control in self.controls), *choices, *self.notes]


def predicted_shape(tag: Tag) -> Shape | None:
    """The shape that a control tag is pre-labelled with; None for a tag that is not."""
    kind = tag.tag.lower()
    shape = SHAPE_OF_TAG.get(kind)
    return shape if shape and kind in (shape.bare_type, shape.labelled_type) else None


def _controls(
    tag: Tag,
    labelling: Sequence[Tag],
    to_name: str,
    image_key: str,
    model_labels: Sequence[str],
    default_threshold: float,
    notes: list[str],
) -> list[ControlSpec]:
    """The specs of a control tag on one image, one for each tag that gives it labels; remarks are added to `notes`.

    A label of the model that several of these take goes to the first: an object is drawn once.
    """
    controls: list[ControlSpec] = []
    taken: set[str] = set()
    for label_tag in labelling:
        control = _control(tag, label_tag, to_name, image_key, model_labels, default_threshold, notes)
        label_map = {model: label for model, label in control.label_map.items() if model not in taken}
        controls.append(replace(control, label_map=MappingProxyType(label_map)))
        taken |= set() if control.skip else set(label_map)
    return controls


def _control(
    tag: Tag,
    label_tag: Tag,
    to_name: str,
    image_key: str,
    model_labels: Sequence[str],
    default_threshold: float,
    notes: list[str],
) -> ControlSpec:
    """The spec of a control tag on one image, with the labels of `label_tag`; remarks on it are added to `notes`."""
    labels = [
        ProjectLabel.from_attributes(name, label.attr) for name, label in label_tag.labels_attrs.items()
    ]
    label_map, remarks = map_labels(labels, model_labels)
    if not labels and not label_tag.dynamic_value:
        remarks = ["has no labels in the config: add Label tags to it"]
    notes.extend(f"{label_tag.tag} {label_tag.name!r}: {remark}" for remark in remarks)
    shape = SHAPE_OF_TAG[tag.tag.lower()]
    return ControlSpec(
        from_name=tag.name,
        to_name=to_name,
        shape=shape,
        labels_from=label_tag.name,
        image_key=image_key,
        labels=tuple(labels),
        label_map=MappingProxyType(label_map),
        score_threshold=read_threshold(tag, read_threshold(label_tag, default_threshold)),
        skip=read_flag(tag, "model_skip") or read_flag(label_tag, "model_skip"),
        unmatched=tuple(label.name for label in labels if label.name not in label_map.values()),
    )
