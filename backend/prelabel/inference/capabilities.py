"""What a detector and choice models can answer of a labelling config, and why that may be nothing."""

from __future__ import annotations

from fbnetv3.detector import Detector
from prelabel.inference.choice_models import ChoiceModels
from prelabel.labelstudio.config.choice_controls import ChoiceControl
from prelabel.labelstudio.config.control_spec import ControlSpec
from prelabel.labelstudio.config.label_spec import LabelSpec


class Capabilities:
    """Which controls of a project this detector and these choice models fill."""

    def __init__(self, detector: Detector, choices: ChoiceModels) -> None:
        self._detector = detector
        self._choices = choices

    def fillable(self, spec: LabelSpec) -> list[ControlSpec]:
        """The controls that the detector can fill: it knows one of their labels, and has masks if needed."""
        has_masks = self._detector.has_masks
        return [c for c in spec.active if c.label_map and (has_masks or not c.needs_masks)]

    def answerable(self, spec: LabelSpec) -> list[ChoiceControl]:
        """The choices that something knows an answer to."""
        return [control for control in spec.choices.active if self._choices.knows(control)]

    def image_keys(self, spec: LabelSpec) -> list[str]:
        """Keys of the task data that hold the images to view; none where every prediction is empty."""
        objects = [control.image_key for control in self.fillable(spec)]
        return list(dict.fromkeys([*objects, *(control.image_key for control in self.answerable(spec))]))

    def labels_on(self, spec: LabelSpec, image_key: str) -> list[str]:
        """The detector's labels that become regions on this image; none where it is viewed for choices only."""
        controls = (control for control in self.fillable(spec) if control.image_key == image_key)
        return list(dict.fromkeys(label for control in controls for label in control.label_map))

    def describe(self, spec: LabelSpec) -> list[str]:
        """Lines for the log: what becomes what, who answers choices, and what is left out and why."""
        choices = (self._choices.describe(control) for control in spec.choices.active)
        return [*spec.describe(has_masks=self._detector.has_masks), *choices]

    def why_empty(self, spec: LabelSpec) -> str:
        """Why every prediction would be empty: the rest of a sentence that ends with the remedy, without its full stop;
        empty where something can be filled.
        """
        if self.image_keys(spec):
            return ""
        cause = self._cause(spec)
        return "; ".join([cause, *(reason for reason in spec.left_out if reason not in cause)])

    def _cause(self, spec: LabelSpec) -> str:
        has_labels = any(control.label_map or control.unmatched for control in spec.active)
        if not has_labels and not spec.choices.active:
            return (
                "; ".join(spec.notes)
                or 'every tag that could be filled has model_skip="true": remove it from one'
            )
        if not has_labels:
            return (
                "the project has choices only and none has been learnt yet: "
                "answer some, or give them classes of PRELABEL_CLASSIFIER_WEIGHTS"
            )
        if any(control.label_map for control in spec.active):
            return (
                "the project asks for masks and the weights have boxes only: "
                "use weights with masks (`prelabel weights list`), or RectangleLabels"
            )
        return (
            "the project has no label of the model: "
            f"it knows {', '.join(self._detector.labels)}; use some of these, give yours predicted_values with one of "
            "them, or label some tasks, from which it learns yours"
        )
