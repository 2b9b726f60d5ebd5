"""What the images of a task gave, put together as the prediction of the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fbnetv3.detector import ImageFeatures
from fbnetv3.instances import Instances
from fbnetv3.judging.calibration import Calibration
from prelabel.inference.choice_models import ChoiceAnswers
from prelabel.inference.outcomes import Failure, TaskOutcome
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.choices import choice_confidence, to_choice_regions
from prelabel.labelstudio.regions.predictions import (
    SCORE_DIGITS,
    drop_invalid,
    image_score,
    task_score,
    to_prediction,
    to_regions,
)

LOWEST_SCORE = 10**-SCORE_DIGITS
"""Of a task without failures: a score of 0 tells empty predictions of images that could not be had from others."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What one image gave: its features, its instances, None where no control takes any, and its choices'
    probabilities."""

    features: ImageFeatures
    instances: Instances | None
    choices: ChoiceAnswers


@dataclass
class TaskResult:
    """What the images of one task gave so far. `spec`: what its config asks for; `confidence`: of scores, and
    `polygon_tolerance` as in the settings."""

    spec: LabelSpec
    confidence: Calibration
    polygon_tolerance: float
    failures: list[Failure]
    _regions: list[dict[str, Any]] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)

    def add(self, image_key: str, image: ImageResult) -> None:
        """Take in what the image under this key of the task's data gave."""
        if image.instances is not None:
            self._add_instances(image_key, image.instances)
        for control, probabilities in image.choices.items():
            self._regions += to_choice_regions(control, probabilities)
            self._scores.append(choice_confidence(control, probabilities))

    def outcome(self, version: str) -> TaskOutcome:
        """The valid prediction of all that was added, by this version."""
        prediction = to_prediction(self._regions, self._score(), version)
        prediction, problems = drop_invalid(self.spec.interface, prediction)
        invalid = (Failure("invalid", problem) for problem in problems)
        return TaskOutcome(prediction, (*self.failures, *invalid))

    def _add_instances(self, image_key: str, found: Instances) -> None:
        controls, confidence = self.spec.controls_for(image_key), self.confidence
        self._regions += to_regions(
            found, controls, polygon_tolerance=self.polygon_tolerance, confidence=confidence
        )
        floor = self.spec.lowest_threshold
        self._scores.append(image_score(found, controls, score_floor=floor, confidence=confidence))

    def _score(self) -> float:
        """Confidence in the task; 0.0, ask first, where an image could not be viewed, and nowhere else."""
        return 0.0 if self.failures else max(task_score(self._scores), LOWEST_SCORE)
