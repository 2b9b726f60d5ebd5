"""Which control of a project gets the region that a prompt asks for, and the region itself: pure conversion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from fbnetv3.instances import Instances
from prelabel.labelstudio.config.control_spec import ControlSpec
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.predictions import Region, to_regions
from prelabel.labelstudio.regions.prompts import PromptError, Tool
from prelabel.labelstudio.shapes.outlines import TOLERANCE


@dataclass(frozen=True)
class PromptTarget:
    """The control that gets the region, `label` as its regions carry it, and the labels of the model that the picked
    one stands for, which may be none."""

    control: ControlSpec
    label: str
    model_labels: tuple[str, ...]

    def regions(self, found: Instances, polygon_tolerance: float = TOLERANCE) -> list[Region]:
        """The region of the best instance, with the label that the person picked whatever the model calls it; of a mask
        in several pieces the largest polygon. It is one result, or two where a Labels tag labels it. None without an
        instance that has what the control draws."""
        anything = MappingProxyType(dict.fromkeys(found.label_names, self.label))
        control = replace(self.control, label_map=anything, score_threshold=0.0, label_thresholds={})
        best = found.select(range(len(found))[:1])
        results = to_regions(best, [control], polygon_tolerance=polygon_tolerance)
        return [result for result in results if result["id"] == results[0]["id"]]


def prompt_target(spec: LabelSpec, tool: Tool, has_masks: bool) -> PromptTarget:
    """Where the answer to a prompt goes: to the first control on the same image that has the picked label, is not
    skipped, and holds masks; where there is none, or the network makes none, to the first that holds boxes.

    Raises PromptError where no control can hold it.
    """
    on_image = [control for control in spec.controls if control.to_name == tool.to_name]
    labels = [(control, _label_in(control, tool.label)) for control in on_image]
    fitting = [
        (control, label)
        for control, label in labels
        if label and not control.skip and (has_masks or not control.needs_masks)
    ]
    if not fitting:
        raise PromptError(_nowhere(tool, any(label for control, label in labels if not control.skip)))
    control, label = min(fitting, key=lambda pair: not pair[0].needs_masks)
    known = (
        model_label
        for other, name in labels
        for model_label, project_label in other.label_map.items()
        if project_label == name
    )
    return PromptTarget(control, label, tuple(dict.fromkeys(known)))


def _label_in(control: ControlSpec, picked: str) -> str:
    """What regions of the control call the picked label; empty where it has no such label."""
    exact = (label.name for label in control.labels if label.name == picked)
    return next(exact, None) or next((label.name for label in control.labels if picked in label.names), "")


def _nowhere(tool: Tool, only_masks: bool) -> str:
    if only_masks:
        return f"The model makes no masks, and no RectangleLabels on {tool.to_name!r} has the label {tool.label!r}."
    return f"No tag for boxes or masks on {tool.to_name!r} takes the label {tool.label!r}."
