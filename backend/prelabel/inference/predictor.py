"""Predictions for Label Studio tasks: one per task, in order, each valid, whatever fails on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby, islice
from types import MappingProxyType
from typing import Any, Protocol

from fbnetv3.active_learning import PoolImage, pool_image_of_features
from fbnetv3.arrays import Array
from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.judging.calibration import IDENTITY, Calibration
from prelabel.inference.capabilities import Capabilities
from prelabel.inference.choice_models import ChoiceModels
from prelabel.inference.outcomes import Abandoned, Failure, TaskOutcome
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.inference.results import ImageResult, TaskResult
from prelabel.inference.task_images import ImageRequest, TaskImage, image_requests, read_ahead, task_data
from prelabel.inference.viewing import Viewer
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.repeaters import expand
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.settings import Settings

logger = logging.getLogger(__name__)

FETCH_THREADS = 4
"""Enough to hide the latency of a storage service behind the network, few enough for a small Label Studio."""

KNOWN_CONFIGS = 64
"""Label configs whose reading is remembered: one per project in use, and a few edits."""


class OnFeatures(Protocol):
    """Is shown what the network made of an image, before anything is read of it."""

    def __call__(self, image: TaskImage, features: ImageFeatures, /) -> None: ...


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


class Predictor:
    """Makes predictions with one detector. Safe to share between threads.

    `prompt_features`: where to keep what the detector made of the image of a task that somebody opened, which is a
    task asked for alone. `choices`: what answers choices; its heads read the features of this very detector.
    `calibration`: what makes confidences of the detector's scores; thresholds are compared with the scores themselves.
    `thresholds`: the detector's operating point, label -> the score from which on its regions are shown; a control's
    own threshold comes before it, that of `options` after it.
    """

    def __init__(
        self,
        detector: Detector,
        fetcher: ImageFetcher,
        options: PredictorOptions,
        prompt_features: PromptFeatures | None = None,
        choices: ChoiceModels | None = None,
        calibration: Calibration = IDENTITY,
        thresholds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.detector = detector
        self.options = options
        self._choices = choices or ChoiceModels()
        self.calibration = calibration
        self.thresholds = thresholds
        self.capabilities = Capabilities(detector, self._choices)
        self.viewer = Viewer(
            detector, fetcher, options.max_image_pixels, prompt_features or PromptFeatures(0)
        )
        self._pool = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="image")
        self._spec = lru_cache(maxsize=KNOWN_CONFIGS)(self._read_config)

    def with_detector(self, detector: Detector, thresholds: Mapping[str, float]) -> Predictor:
        """The same with a detector that reads the features of this one's: images are viewed, and kept for prompts, by
        what is loaded already. `thresholds`: its operating point; its scores are not calibrated.
        """
        other = copy(self)
        other.detector, other.thresholds, other.calibration = detector, thresholds, IDENTITY
        other.capabilities = Capabilities(detector, self._choices)
        other._spec = lru_cache(maxsize=KNOWN_CONFIGS)(other._read_config)
        return other

    @property
    def version(self) -> str:
        """The model version that every prediction carries."""
        return self.detector.version

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the detector."""
        return self.detector.labels

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

    def pool_image(self, request: ImageRequest, features: ImageFeatures) -> PoolImage:
        """What active learning compares of an image that was viewed, but for its choices. Raises what engines raise,
        RuntimeError and ValueError.
        """
        labels = self.capabilities.labels_on(request.spec, request.image_key)
        return pool_image_of_features(self.detector, features, labels, self.calibration)

    def choice_distributions(self, request: ImageRequest, pooled: Array) -> tuple[Array, ...]:
        """What the heads say of an image with these pooled features, see ChoiceModels.distributions."""
        answerable = self.capabilities.answerable(request.spec)
        controls = [control for control in answerable if control.image_key == request.image_key]
        return self._choices.distributions(pooled, controls)

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
        be read. `abandoned` is asked before every batch. `on_features` is shown every image that could be viewed.
        Raises LabelConfigError, and Abandoned on a yes.
        """
        results = [self._empty_result(label_config, task) for task in tasks]
        for spec, batch in self._batches(tasks, [one.spec for one in results]):
            if abandoned():
                raise Abandoned
            self._predict_batch(batch, spec, results, on_features)
        outcomes = [one.outcome(self.version) for one in results]
        _log_failures(tasks, outcomes, project_id)
        return outcomes

    def _empty_result(self, label_config: str, task: Any) -> TaskResult:
        spec, problems = self.task_spec(label_config, task)
        failures = [Failure("fetch", problem) for problem in problems]
        return TaskResult(spec, self.calibration, self.options.polygon_tolerance, failures)

    def _read_config(self, label_config: str) -> LabelSpec:
        default = self.options.score_threshold
        return LabelSpec.from_config(label_config, self.detector.labels, default, self.thresholds)

    def _batches(
        self, tasks: Sequence[Any], specs: Sequence[LabelSpec]
    ) -> Iterator[tuple[LabelSpec, list[TaskImage]]]:
        """Images that follow each other and are asked the same, a few at a time."""
        size = self.options.batch_size
        requests = image_requests(tasks, specs, self.capabilities.image_keys)
        images = read_ahead(requests, self.viewer.read, self._pool, ahead=size)
        for spec, same in groupby(images, key=lambda image: image.request.spec):
            while batch := list(islice(same, size)):
                yield spec, batch

    def _predict_batch(
        self,
        batch: Sequence[TaskImage],
        spec: LabelSpec,
        results: Sequence[TaskResult],
        on_features: OnFeatures | None,
    ) -> None:
        """Add what each image gave to the result of its task. The features of a lone task are kept for prompts."""
        for image, result in zip(
            batch, self.viewer.view(batch, partial(self._read_features, spec)), strict=True
        ):
            task = results[image.request.task_index]
            if isinstance(result, Failure):
                task.failures.append(result)
                continue
            if len(results) == 1:
                self.viewer.keep(image, result.features)
            if on_features:
                on_features(image, result.features)
            task.add(image.request.image_key, result)

    def _read_features(
        self, spec: LabelSpec, images: Sequence[TaskImage], features: Sequence[ImageFeatures]
    ) -> list[ImageResult]:
        """Objects where a control takes some, and choices where something answers them."""
        object_keys = {control.image_key for control in self.capabilities.fillable(spec)}
        choices = self.capabilities.answerable(spec)
        keys = [image.request.image_key for image in images]
        wanted = [one for one, key in zip(features, keys, strict=True) if key in object_keys]
        found = iter(
            self.detector.find(wanted, spec.wanted_scores(), spec.wanted_mask_scores()) if wanted else ()
        )
        return [
            ImageResult(
                one,
                next(found) if key in object_keys else None,
                self._choices.answers(one, [control for control in choices if control.image_key == key]),
            )
            for one, key in zip(features, keys, strict=True)
        ]


def _log_failures(tasks: Sequence[Any], outcomes: Sequence[TaskOutcome], project_id: int | None) -> None:
    for task, outcome in zip(tasks, outcomes, strict=True):
        task_id = task.get("id") if isinstance(task, dict) else None
        for failure in outcome.failures:
            logger.warning("project %s, task %s: %s", project_id, task_id, failure.reason)
