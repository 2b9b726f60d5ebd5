"""Predictions for Label Studio tasks: one per task, in order, each valid, whatever fails on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import groupby, islice
from typing import Any, Protocol

from fbnetv3.arrays import Array
from fbnetv3.detector import ImageFeatures, Threshold
from fbnetv3.instances import Instances
from fbnetv3.judging.calibration import IDENTITY, Calibration
from prelabel.inference.choice_models import Answers, ChoiceModels
from prelabel.inference.outcomes import Abandoned, Failure, TaskOutcome
from prelabel.inference.prompt_features import FeaturesKey, PromptFeatures
from prelabel.inference.task_images import TaskImage, image_requests, read_ahead, read_task_image, task_data
from prelabel.labelstudio.config.choice_controls import ChoiceControl
from prelabel.labelstudio.config.label_spec import ControlSpec, LabelSpec
from prelabel.labelstudio.config.repeaters import expand
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.labelstudio.regions.choices import choice_confidence, to_choice_regions
from prelabel.labelstudio.regions.predictions import (
    SCORE_DIGITS,
    drop_invalid,
    image_score,
    task_score,
    to_prediction,
    to_regions,
)
from prelabel.settings import Settings

logger = logging.getLogger(__name__)

FETCH_THREADS = 4
"""Enough to hide the latency of a storage service behind the network, few enough for a small Label Studio."""

LOWEST_SCORE = 10**-SCORE_DIGITS
"""Of a task without failures: a score of 0 tells empty predictions of images that could not be had from others."""

KNOWN_CONFIGS = 64
"""Label configs whose reading is remembered: one per project in use, and a few edits."""


class OnFeatures(Protocol):
    """Is shown what the network made of an image, before anything is read of it."""

    def __call__(self, image: TaskImage, features: ImageFeatures, /) -> None: ...


class InstanceDetector(Protocol):
    """What is asked of a detector; `fbnetv3.detector.Detector` is one."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def has_masks(self) -> bool: ...
    @property
    def version(self) -> str: ...
    def set_images(self, images: Sequence[Array]) -> list[ImageFeatures]: ...
    def find(
        self, features: Sequence[ImageFeatures], score_threshold: Threshold, mask_threshold: Threshold
    ) -> list[Instances]: ...
    def mask_in_box(self, features: ImageFeatures, box: Array, labels: Sequence[str]) -> Instances: ...
    def mask_at_points(
        self, features: ImageFeatures, points: Array, positive: Array, labels: Sequence[str]
    ) -> Instances: ...


@dataclass(frozen=True)
class PredictorOptions:
    """How predictions are made: see the settings of the same names."""

    score_threshold: float
    polygon_tolerance: float
    batch_size: int
    max_image_pixels: int

    @classmethod
    def of(cls, settings: Settings) -> PredictorOptions:
        """Those of the settings."""
        return cls(
            score_threshold=settings.model_score_threshold,
            polygon_tolerance=settings.prelabel_polygon_tolerance,
            batch_size=settings.prelabel_batch_size,
            max_image_pixels=settings.prelabel_max_image_pixels,
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one image gave: the instances, None where no control takes any, and the choices' probabilities."""

    instances: Instances | None
    answers: Answers


@dataclass
class _Findings:
    """What the images of one task gave so far."""

    regions: list[dict[str, Any]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Confidence in the task; 0.0, ask first, where an image could not be looked at, and nowhere else."""
        return 0.0 if self.failures else max(task_score(self.scores), LOWEST_SCORE)

    @classmethod
    def of_pages(cls, problems: Sequence[str]) -> _Findings:
        """Before any image was looked at; `problems`: with the lists of pages."""
        return cls(failures=[Failure("fetch", problem) for problem in problems])


class Predictor:
    """Makes predictions with one detector. Safe to share between threads.

    `prompt_features`: where to keep what the detector made of the image of a task that somebody opened, which is a
    task asked for alone. `choices`: what answers choices; its heads read the features of this very detector.
    `calibration`: what makes confidences of the detector's scores; thresholds are compared with the scores themselves.
    """

    def __init__(
        self,
        detector: InstanceDetector,
        fetcher: ImageFetcher,
        options: PredictorOptions,
        prompt_features: PromptFeatures | None = None,
        choices: ChoiceModels | None = None,
        calibration: Calibration = IDENTITY,
    ) -> None:
        self.detector = detector
        self.calibration = calibration
        self._choices = choices or ChoiceModels()
        self.prompt_features = prompt_features or PromptFeatures(0)
        self.options = options
        self.fetcher = fetcher
        self._read = partial(read_task_image, fetcher=fetcher, max_pixels=options.max_image_pixels)
        self._pool = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="image")
        self._spec = lru_cache(maxsize=KNOWN_CONFIGS)(self._read_config)

    @property
    def version(self) -> str:
        """The model version that every prediction carries."""
        return self.detector.version

    def label_spec(self, label_config: str) -> LabelSpec:
        """What the config asks of the detector, whatever the task: the pages of a Repeater are one. Raises
        LabelConfigError.
        """
        return self._spec(label_config)

    def task_spec(self, label_config: str, task: Any) -> tuple[LabelSpec, tuple[str, ...]]:
        """What the config asks of the detector for a task as Label Studio sends it, each page with controls of its own;
        and a sentence for each list of pages that is missing or too long. Raises LabelConfigError.
        """
        expanded = expand(label_config, task_data(task))
        return self._spec(expanded.xml), expanded.problems

    def fillable(self, spec: LabelSpec) -> list[ControlSpec]:
        """The controls that the detector can fill: it knows one of their labels, and has masks if needed."""
        has_masks = self.detector.has_masks
        return [c for c in spec.active if c.label_map and (has_masks or not c.needs_masks)]

    def answerable(self, spec: LabelSpec) -> list[ChoiceControl]:
        """The choices that something knows an answer to."""
        return [control for control in spec.choices.active if self._choices.knows(control)]

    def image_keys(self, spec: LabelSpec) -> list[str]:
        """Keys of the task data that hold the images to look at; none where every prediction is empty."""
        objects = [control.image_key for control in self.fillable(spec)]
        return list(dict.fromkeys([*objects, *(control.image_key for control in self.answerable(spec))]))

    def labels_on(self, spec: LabelSpec, image_key: str) -> list[str]:
        """The detector's labels that become regions on this image; none where it is looked at for choices only."""
        controls = (control for control in self.fillable(spec) if control.image_key == image_key)
        return list(dict.fromkeys(label for control in controls for label in control.label_map))

    def learnt_choices(self, spec: LabelSpec, image_key: str, pooled: Array) -> tuple[Array, ...]:
        """What the heads say of this image, see ChoiceModels.distributions."""
        controls = [control for control in self.answerable(spec) if control.image_key == image_key]
        return self._choices.distributions(pooled, controls)

    def describe(self, spec: LabelSpec) -> list[str]:
        """Lines for the log: what becomes what, who answers choices, and what is left out and why."""
        choices = (self._choices.describe(control) for control in spec.choices.active)
        return [*spec.describe(has_masks=self.detector.has_masks), *choices]

    def empty_prediction(self) -> dict[str, Any]:
        """A valid prediction without regions."""
        return to_prediction([], 0.0, self.version)

    def predict_tasks(
        self, tasks: Sequence[Any], label_config: str, project_id: int | None
    ) -> list[dict[str, Any]]:
        """One prediction per task, in order. Raises LabelConfigError."""
        return [outcome.prediction for outcome in self.predict(tasks, label_config, project_id)]

    def predict(
        self,
        tasks: Sequence[Any],
        label_config: str,
        project_id: int | None,
        abandoned: Callable[[], bool] = lambda: False,
        on_features: OnFeatures | None = None,
    ) -> list[TaskOutcome]:
        """One outcome per task, in order; each failure is one warning in the log.

        `tasks`: as Label Studio sends them. A task with several images gets the regions of those that could
        be read. `abandoned` is asked before every batch. `on_features` is shown every image that could be looked at.
        Raises LabelConfigError, and Abandoned on a yes.
        """
        read = [self.task_spec(label_config, task) for task in tasks]
        specs = [spec for spec, _ in read]
        findings = [_Findings.of_pages(problems) for _, problems in read]
        for spec, batch in self._batches(tasks, specs):
            if abandoned():
                raise Abandoned
            looked = self._look(batch, spec, len(tasks) == 1, on_features)
            for image, result in zip(batch, looked, strict=True):
                self._collect(findings[image.request.task_index], image, result, spec)
        outcomes = [self._conclude(found, spec) for found, spec in zip(findings, specs, strict=True)]
        _log_failures(tasks, outcomes, project_id)
        return outcomes

    def _read_config(self, label_config: str) -> LabelSpec:
        return LabelSpec.from_config(label_config, self.detector.labels, self.options.score_threshold)

    def _batches(
        self, tasks: Sequence[Any], specs: Sequence[LabelSpec]
    ) -> Iterator[tuple[LabelSpec, list[TaskImage]]]:
        """Images that follow each other and are asked the same, a few at a time."""
        size = self.options.batch_size
        requests = image_requests(tasks, specs, self.image_keys)
        images = read_ahead(requests, self._read, self._pool, ahead=size)
        for spec, same in groupby(images, key=lambda image: image.request.spec):
            while batch := list(islice(same, size)):
                yield spec, batch

    def _look(
        self, batch: list[TaskImage], spec: LabelSpec, keep: bool, on_features: OnFeatures | None
    ) -> list[_Seen | Failure]:
        """What every image gave that could be read, its failure otherwise. `keep`: for prompts."""
        readable = [image for image in batch if not isinstance(image.pixels, Failure)]
        seen = iter(self._look_at_readable(readable, spec, keep, on_features))
        return [image.pixels if isinstance(image.pixels, Failure) else next(seen) for image in batch]

    def _look_at_readable(
        self, images: list[TaskImage], spec: LabelSpec, keep: bool, on_features: OnFeatures | None
    ) -> list[_Seen | Failure]:
        """Where a batch fails each image is tried alone, so that one of them costs the others nothing."""
        if not images:
            return []
        pixels = [image.pixels for image in images if not isinstance(image.pixels, Failure)]
        try:
            features = self.detector.set_images(pixels)
            seen = self._read_features(images, features, spec)
        except (RuntimeError, ValueError) as error:  # the engines raise RuntimeError for all of their own
            if len(images) > 1:
                return [self._look_at_readable([image], spec, keep, on_features)[0] for image in images]
            logger.exception("the network failed on an image of %d x %d", *pixels[0].shape[1::-1])
            return [Failure("model", f"the network failed: {type(error).__name__}")]
        for image, one in zip(images, features, strict=True):
            if keep:
                self.prompt_features.keep(FeaturesKey(image.digest, self.version), one)
            if on_features:
                on_features(image, one)
        return [*seen]

    def _read_features(
        self, images: Sequence[TaskImage], features: Sequence[ImageFeatures], spec: LabelSpec
    ) -> list[_Seen]:
        """Objects where a control takes some, and choices where something answers them."""
        object_keys = {control.image_key for control in self.fillable(spec)}
        choices = self.answerable(spec)
        keys = [image.request.image_key for image in images]
        wanted = [one for one, key in zip(features, keys, strict=True) if key in object_keys]
        found = iter(
            self.detector.find(wanted, spec.wanted_scores(), spec.wanted_mask_scores()) if wanted else ()
        )
        return [
            _Seen(
                next(found) if key in object_keys else None,
                self._choices.answers(one, [control for control in choices if control.image_key == key]),
            )
            for one, key in zip(features, keys, strict=True)
        ]

    def _collect(self, found: _Findings, image: TaskImage, seen: _Seen | Failure, spec: LabelSpec) -> None:
        if isinstance(seen, Failure):
            found.failures.append(seen)
            return
        if seen.instances is not None:
            controls = spec.controls_for(image.request.image_key)
            tolerance, confidence = self.options.polygon_tolerance, self.calibration
            found.regions += to_regions(
                seen.instances, controls, polygon_tolerance=tolerance, confidence=confidence
            )
            floor = spec.lowest_threshold
            found.scores.append(
                image_score(seen.instances, controls, score_floor=floor, confidence=confidence)
            )
        for control, probabilities in seen.answers.items():
            found.regions += to_choice_regions(control, probabilities)
            found.scores.append(choice_confidence(control, probabilities))

    def _conclude(self, found: _Findings, spec: LabelSpec) -> TaskOutcome:
        prediction = to_prediction(found.regions, found.score, self.version)
        prediction, problems = drop_invalid(spec.interface, prediction)
        invalid = (Failure("invalid", problem) for problem in problems)
        return TaskOutcome(prediction, (*found.failures, *invalid))


def _log_failures(tasks: Sequence[Any], outcomes: Sequence[TaskOutcome], project_id: int | None) -> None:
    for task, outcome in zip(tasks, outcomes, strict=True):
        task_id = task.get("id") if isinstance(task, dict) else None
        for failure in outcome.failures:
            logger.warning("project %s, task %s: %s", project_id, task_id, failure.reason)
