"""What a project's labelling config asks of a detector: which controls, on which images, with which labels.

Attributes of the config that steer pre-labelling, the names that the ML-backend examples use:

    <RectangleLabels model_score_threshold="0.4">   the lowest score that becomes a region of this control
    <BrushLabels model_skip="true">                 never pre-label this control
    <Label value="Vehicle" predicted_values="car,truck">   labels of the model that become this label
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.choice_controls import ChoiceControls
from prelabel.labelstudio.config_tags import Tag, image_key_of, parse_config, read_flag, read_threshold
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.labelstudio.image_values import image_value
from prelabel.labelstudio.label_map import ProjectLabel, map_labels
from prelabel.labelstudio.repeaters import flags_of_names, missing_flags
from prelabel.labelstudio.unsupported import nothing_to_fill, same_on_every_page, unsupported

__all__ = ["ControlSpec", "Kind", "LabelConfigError", "LabelSpec", "image_value"]

Kind = Literal["rectanglelabels", "polygonlabels", "brushlabels"]
"""Control tags that are pre-labelled, by the type of their regions."""


@dataclass(frozen=True)
class ControlSpec:
    """One control tag on one image tag.

    `image_key`: key of the task data that holds the image. `label_map`: label of the model -> of the project.
    `score_threshold`: the lowest score, 0..1, that becomes a region. `skip`: the config says to leave it out.
    `unmatched`: labels of the project that no label of the model becomes.
    """

    from_name: str
    to_name: str
    kind: Kind
    image_key: str
    label_map: Mapping[str, str]
    score_threshold: float
    skip: bool
    unmatched: tuple[str, ...]

    @property
    def needs_masks(self) -> bool:
        """Whether its regions are made from masks."""
        return self.kind != "rectanglelabels"

    def describe(self, has_masks: bool) -> str:
        """One line for the log."""
        head = f"{self.kind} {self.from_name!r} on {self.to_name!r}"
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
        for tag in interface.controls or ():
            if tag.tag.lower() not in get_args(Kind):
                continue
            for name in tag.to_name:
                key, problem = image_key_of(tag.find_object_by_name(name))
                if problem:
                    left_out.append(f"{tag.tag} {tag.name!r} is left out: {name!r} {problem}")
                else:
                    controls.append(_control(tag, name, key, model_labels, default_threshold, remarks))
        choices = ChoiceControls.from_config(xml)
        left_out += [*choices.notes, *unsupported(interface)]
        flags = flags_of_names(xml).items()
        left_out += [
            same_on_every_page(name, gone) for name, of in flags if (gone := missing_flags(name, of))
        ]
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
            for label in control.label_map if control.needs_masks else ():
                wanted[label] = min(control.score_threshold, wanted.get(label, 1.0))
        return wanted

    def controls_for(self, image_key: str) -> tuple[ControlSpec, ...]:
        """The controls that are not skipped on this image."""
        return tuple(control for control in self.active if control.image_key == image_key)

    def describe(self, has_masks: bool = True) -> list[str]:
        """Lines for the log at setup: what becomes what, and what is left out and why."""
        choices = (control.describe() for control in self.choices.controls)
        return [*(control.describe(has_masks) for control in self.controls), *choices, *self.notes]


def _control(
    tag: Tag,
    to_name: str,
    image_key: str,
    model_labels: Sequence[str],
    default_threshold: float,
    notes: list[str],
) -> ControlSpec:
    """The spec of a control tag on one image; remarks on it are added to `notes`."""
    labels = [ProjectLabel.from_attributes(name, label.attr) for name, label in tag.labels_attrs.items()]
    label_map, remarks = map_labels(labels, model_labels)
    if not labels and not tag.dynamic_value:
        remarks = ["has no labels in the config: add Label tags to it"]
    notes.extend(f"{tag.tag} {tag.name!r}: {remark}" for remark in remarks)
    return ControlSpec(
        from_name=tag.name,
        to_name=to_name,
        kind=tag.tag.lower(),
        image_key=image_key,
        label_map=MappingProxyType(label_map),
        score_threshold=read_threshold(tag, default_threshold),
        skip=read_flag(tag, "model_skip"),
        unmatched=tuple(label.name for label in labels if label.name not in label_map.values()),
    )
