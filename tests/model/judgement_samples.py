"""Hand-made pictures and a detector that answers by script, for tests of judging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fbnetv3.data.examples import Example
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.judging.outcomes import image_outcome

SIZE = (100, 200)
LABELS = ("bolt", "nut")
UNKNOWN = BoxMask(0, 0, np.zeros((0, 0), bool))
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Examples:
    examples: tuple[Example, ...]
    labels: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


@dataclass
class Scripted:
    """Stands in for a detector: gives these answers in turn, and counts how often it is asked."""

    answers: list[Instances]
    labels: tuple[str, ...] = LABELS
    has_masks: bool = False
    asked: list[float] = field(default_factory=list)
    masks_from: float | None = None

    def predict(
        self, images: Sequence[Any], score_threshold: float = 0.0, mask_threshold: float | None = None
    ) -> list[Instances]:
        self.asked.append(score_threshold)
        self.masks_from = mask_threshold
        found = self.answers[len(self.asked) - 1]
        return [found.select(found.scores >= score_threshold)]


def whole(box: Box) -> BoxMask:
    x0, y0, x1, y1 = map(int, box)
    return BoxMask(x0, y0, np.ones((y1 - y0, x1 - x0), bool))


def example(*objects: tuple[str, Box], masks: tuple[BoxMask, ...] | None = None) -> Example:
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    classes = np.array([LABELS.index(label) for label, _ in objects], np.int64)
    return Example(np.zeros((*SIZE, 3), np.uint8), boxes, classes, masks)


def found(
    *regions: tuple[str, Box, float],
    masks: tuple[BoxMask, ...] | None = None,
    labels: tuple[str, ...] = LABELS,
) -> Instances:
    boxes = np.array([box for _, box, _ in regions], np.float32).reshape(-1, 4)
    classes = np.array([labels.index(label) for label, _, _ in regions], np.int64)
    scores = np.array([score for _, _, score in regions], np.float32)
    return Instances(SIZE, boxes, scores, classes, labels, masks)


def counts(shown: Instances, truth: Example) -> tuple[int, int, int, int]:
    outcome = image_outcome(shown, truth, LABELS)
    return outcome.objects, outcome.no_edit, outcome.found, outcome.false_positives


HERE: Box = (10, 10, 50, 50)
THERE: Box = (100, 10, 140, 50)
