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
from dataclasses import dataclass, field
from types import MappingProxyType

from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config.choice_controls import ChoiceControls
from prelabel.labelstudio.config.control_spec import ControlSpec, Thresholds, control_specs, predicted_shape
from prelabel.labelstudio.config.object_controls import label_tags
from prelabel.labelstudio.config.repeaters import (
    WITHOUT_LIST,
    flags_of_names,
    missing_flags,
    repeaters_without_list,
)
from prelabel.labelstudio.config.tags import image_key_of, parse_config
from prelabel.labelstudio.config.unsupported import (
    nothing_to_fill,
    same_on_every_page,
    unsupported,
    without_name,
)


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
    def from_config(
        cls,
        xml: str,
        model_labels: Sequence[str],
        default_threshold: float,
        label_thresholds: Mapping[str, float] = MappingProxyType({}),
    ) -> LabelSpec:
        """Read a labelling config for a model with these labels.

        For controls without a threshold of their own, the lowest score of a region is that of its label of the model in
        `label_thresholds` (above 1 for a label that is not shown), or else `default_threshold`, 0..1.
        Raises LabelConfigError, one sentence, when it is not XML or an attribute has an impossible value.
        """
        interface = parse_config(xml)
        thresholds = Thresholds(default_threshold, label_thresholds)
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
                    controls += control_specs(tag, labelling, name, key, model_labels, thresholds, remarks)
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
        """The lowest score that some control wants: a detector need not report less. At most 1.0, also without
        controls.
        """
        return min((1.0, *(control.lowest_threshold for control in self.active)))

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
                wanted[label] = min(control.threshold_of(label), wanted.get(label, 1.0))
        return wanted

    def controls_for(self, image_key: str) -> tuple[ControlSpec, ...]:
        """The controls that are not skipped on this image."""
        return tuple(control for control in self.active if control.image_key == image_key)

    def describe(self, has_masks: bool = True) -> list[str]:
        """Lines for the log at setup: what becomes what, and what is left out and why."""
        choices = (control.describe() for control in self.choices.controls)
        return [*(control.describe(has_masks) for control in self.controls), *choices, *self.notes]
