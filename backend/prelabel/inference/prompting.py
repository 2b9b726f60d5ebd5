"""Answers to smart tools: what somebody drew on the image of a task becomes a region, or a logged reason why not."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnetv3.detector import ImageFeatures
from fbnetv3.instances import Instances
from prelabel.errors import PrelabelError
from prelabel.inference.outcomes import Failure, TaskOutcome
from prelabel.inference.predictor import Predictor
from prelabel.inference.prompt_features import FeaturesKey
from prelabel.inference.task_images import (
    ImageRequest,
    content_digest,
    decode_image,
    fetch_image,
    image_requests,
)
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.predictions import Region, drop_invalid, task_score, to_prediction
from prelabel.labelstudio.regions.prompt_targets import PromptTarget, prompt_target
from prelabel.labelstudio.regions.prompts import BoxPrompt, Prompt, PromptError, read_prompts

logger = logging.getLogger(__name__)

TRUSTED_SECONDS = 300.0
"""For which an image that was fetched for a prompt is not asked for again: somebody clicks many times on one image,
and an image that is replaced under the same URL while it is being labelled would spoil the labels in any case."""

TRUSTED_IMAGES = 1000


class PromptFailed(PrelabelError):
    """A prompt on an image that could not be read or looked at."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Prompter:
    """Answers prompts with any predictor. Safe to share between threads."""

    def __init__(self) -> None:
        self._seen = _SeenImages()

    def answer(
        self, predictor: Predictor, task: Any, context: Any, label_config: str, project_id: int | None
    ) -> TaskOutcome:
        """A valid prediction with a region for every prompt that found an object; each failure is one line in the log.

        Of the task only its id and the URL of the image are read. Raises LabelConfigError.
        """
        started = time.monotonic()
        spec, _ = predictor.task_spec(label_config, task)
        prompts: Sequence[Prompt] = ()
        regions: dict[tuple[str, str], Region] = {}
        failures: list[Failure] = []
        try:
            prompts = read_prompts(context)
            for prompt in prompts:
                found = self._regions(predictor, task, prompt, spec)
                regions |= {(region["id"], region["from_name"]): region for region in found}
        except PromptError as error:
            failures.append(Failure("prompt", str(error)))
        except PromptFailed as error:
            failures.append(error.failure)
        prediction = _prediction([*regions.values()], predictor.version)
        prediction, problems = drop_invalid(spec.interface, prediction)
        failures += [Failure("invalid", problem) for problem in problems]
        outcome = TaskOutcome(prediction, tuple(failures))
        _log(outcome, prompts, task, project_id, time.monotonic() - started)
        return outcome

    def _regions(self, predictor: Predictor, task: Any, prompt: Prompt, spec: LabelSpec) -> list[Region]:
        target = prompt_target(spec, prompt.tool, predictor.detector.has_masks)
        [request] = image_requests([task], [spec], lambda _: [target.control.image_key])
        features = self._features(predictor, request)
        try:
            found = _find(predictor, features, prompt, target)
        except PromptError:
            raise
        except (RuntimeError, ValueError) as error:  # the engines raise RuntimeError for all of their own
            raise _network_failed(error) from error
        return target.regions(found, predictor.options.polygon_tolerance)

    def _features(self, predictor: Predictor, request: ImageRequest) -> ImageFeatures:
        """The features of the task's image: kept ones where there are some, without asking for the image again where
        that was done a moment ago. Raises PromptFailed."""
        if digest := self._seen.digest(request):
            kept = predictor.prompt_features.get(FeaturesKey(digest, predictor.version))
            if kept is not None:
                return kept
        content = fetch_image(request, predictor.fetcher)
        if isinstance(content, Failure):
            raise PromptFailed(content)
        digest = content_digest(content)
        self._seen.note(request, digest)
        key = FeaturesKey(digest, predictor.version)
        features = predictor.prompt_features.get(key)
        if features is None:
            features = _look(predictor, request, content)
            predictor.prompt_features.keep(key, features)
        return features


class _SeenImages:
    """The digests of the images fetched last, by task and URL, each for TRUSTED_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[int | None, str], tuple[float, str]] = OrderedDict()

    def digest(self, request: ImageRequest) -> str | None:
        """The digest of an image that was fetched a moment ago, else None."""
        with self._lock:
            fetched_at, digest = self._seen.get(_source(request), (-TRUSTED_SECONDS, None))
        return digest if time.monotonic() - fetched_at < TRUSTED_SECONDS else None

    def note(self, request: ImageRequest, digest: str) -> None:
        """The image was fetched just now."""
        with self._lock:
            self._seen[_source(request)] = time.monotonic(), digest
            self._seen.move_to_end(_source(request))
            while len(self._seen) > TRUSTED_IMAGES:
                self._seen.popitem(last=False)


def _source(request: ImageRequest) -> tuple[int | None, str]:
    """What names an image; a hash, because a data: URI is as long as its image."""
    return request.task_id, hashlib.sha256(str(request.value).encode("utf-8", "surrogatepass")).hexdigest()


def _look(predictor: Predictor, request: ImageRequest, content: bytes) -> ImageFeatures:
    pixels = decode_image(request, content, predictor.options.max_image_pixels)
    if isinstance(pixels, Failure):
        raise PromptFailed(pixels)
    try:
        [features] = predictor.detector.set_images([pixels])
    except (RuntimeError, ValueError) as error:
        raise _network_failed(error) from error
    return features


def _find(predictor: Predictor, features: ImageFeatures, prompt: Prompt, target: PromptTarget) -> Instances:
    size = features.pixels.shape[:2]
    if isinstance(prompt, BoxPrompt):
        return predictor.detector.mask_in_box(features, prompt.box(size), target.model_labels)
    points, positive = prompt.pixels(size), np.array(prompt.positive)
    return predictor.detector.mask_at_points(features, points, positive, target.model_labels)


def _network_failed(error: Exception) -> PromptFailed:
    logger.error("the network failed on a prompt", exc_info=error)
    return PromptFailed(Failure("model", f"the network failed: {type(error).__name__}"))


def _prediction(regions: Sequence[Region], version: str) -> dict[str, Any]:
    return to_prediction(regions, task_score([region["score"] for region in regions]), version)


def _log(
    outcome: TaskOutcome, prompts: Sequence[Prompt], task: Any, project_id: int | None, seconds: float
) -> None:
    task_id = task.get("id") if isinstance(task, dict) else None
    for failure in outcome.failures:
        logger.warning("project %s, task %s: smart tool: %s", project_id, task_id, failure.reason)
    if prompts and not outcome.failures:
        drawn = f"{len(prompts)} boxes" if isinstance(prompts[0], BoxPrompt) else "points"
        logger.info(
            "project %s, task %s: smart tool: %s, %d regions in %.0f ms",
            project_id,
            task_id,
            drawn,
            len(outcome.prediction["result"]),
            1000 * seconds,
        )
