"""What answers the choices of a project: the heads that its version learnt, else a classifier of everyday things."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.classification.linear_head import LinearHead, pool
from fbnetv3.detector import ImageFeatures
from prelabel.labelstudio.config.choice_controls import ChoiceControl
from prelabel.labelstudio.regions.choices import ClassProbabilities, choice_probabilities

ChoiceAnswers = dict[ChoiceControl, dict[str, float]]
"""Control -> its choices with their probabilities."""


class ImageClassifier(Protocol):
    """What is asked of a classifier; `fbnetv3.classification.classifier.Classifier` is one."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    def probabilities(self, image: Array) -> Array: ...


class ChoiceModels:
    """Heads and a classifier, of which either may be missing. A head belongs to the control of its name, and knows
    those choices that have the name of one of its classes, or claim it in `predicted_values`."""

    def __init__(self, heads: Sequence[LinearHead] = (), classifier: ImageClassifier | None = None) -> None:
        self._heads = {head.spec.name: head for head in heads}
        self._classifier = classifier

    def knows(self, control: ChoiceControl) -> bool:
        """Whether there is a class for one of the control's choices."""
        return bool(control.label_map(self._classes_for(control)))

    def describe(self, control: ChoiceControl) -> str:
        """One line for the log: who answers a control, and which of its choices can be answered."""
        known = dict.fromkeys(control.label_map(self._classes_for(control)).values())
        head = f"choices {control.from_name!r}"
        if not known:
            return f"{head}: no answer is known yet, it is learnt from accepted choices"
        who = "learnt from accepted choices" if control.question in self._heads else "by the classifier"
        missing = [name for name in control.names if name not in known]
        line = f"{head}: {who}: {', '.join(name for name in control.names if name in known)}"
        return f"{line}; without an answer: {', '.join(missing)}" if missing else line

    def answers(self, features: ImageFeatures, controls: Sequence[ChoiceControl]) -> ChoiceAnswers:
        """The probabilities of the choices of these controls, for an image that the heads' detector was set to."""
        image = _Image(features, self._classifier)
        return {control: choice_probabilities(control, self._asked(control, image)) for control in controls}

    def distributions(self, pooled: Array, controls: Sequence[ChoiceControl]) -> tuple[Array, ...]:
        """What the heads of these controls say of an image with these pooled features, (d,); see LinearHead. What a
        classifier answers is not among them.
        """
        heads = (self._heads.get(control.question) for control in controls)
        return tuple(one for head in heads if head for one in head.distributions(pooled))

    def _classes_for(self, control: ChoiceControl) -> tuple[str, ...]:
        if head := self._heads.get(control.question):
            return head.spec.classes
        return self._classifier.labels if self._classifier else ()

    def _asked(self, control: ChoiceControl, image: _Image) -> ClassProbabilities:
        head = self._heads.get(control.question)
        if head is None:
            return image.classified
        probabilities = head.probabilities(image.pooled[None])[0]
        return ClassProbabilities(head.spec.classes, probabilities, exclusive=not head.spec.multi_label)


class _Image:
    """What several controls ask of one image, computed when the first one does."""

    def __init__(self, features: ImageFeatures, classifier: ImageClassifier | None) -> None:
        self._features = features
        self._classifier = classifier

    @cached_property
    def pooled(self) -> Array:
        return pool(self._features.maps)

    @cached_property
    def classified(self) -> ClassProbabilities:
        if self._classifier is None:
            return ClassProbabilities((), np.zeros(0), exclusive=True)
        probabilities = self._classifier.probabilities(self._features.pixels)
        return ClassProbabilities(self._classifier.labels, probabilities, exclusive=True)
