"""Why every prediction of a project would be empty, in words: `annotate` and the log of /setup say it."""

from __future__ import annotations

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.config.label_spec import LabelSpec


def why_empty(predictor: Predictor, spec: LabelSpec) -> str:
    """The rest of a sentence that ends with the remedy, without its full stop; empty where something can be filled."""
    if predictor.image_keys(spec):
        return ""
    cause = _cause(predictor, spec)
    return "; ".join([cause, *(reason for reason in spec.left_out if reason not in cause)])


def _cause(predictor: Predictor, spec: LabelSpec) -> str:
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
        f"it knows {', '.join(predictor.detector.labels)}; use some of these, give yours predicted_values with one of "
        "them, or label some tasks, from which it learns yours"
    )
