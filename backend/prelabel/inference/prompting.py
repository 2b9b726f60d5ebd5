"""Answers to smart tools: what somebody drew on the image of a task becomes a region, or a logged reason why not."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from cachetools import TTLCache

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.instances import Instances
from prelabel.errors import PrelabelError
from prelabel.inference.outcomes import Failure, TaskOutcome
from prelabel.inference.predictor import Predictor
from prelabel.inference.task_images import ImageRequest, content_digest, image_requests
from prelabel.inference.viewing import Viewer, ask
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.predictions import Region, drop_invalid, task_score, to_prediction
from prelabel.labelstudio.regions.prompt_targets import prompt_target
from prelabel.labelstudio.regions.prompts import BoxPrompt, Prompt, PromptError, read_prompts

logger = logging.getLogger(__name__)

TRUSTED_SECONDS = 300.0
"""For which an image that was fetched for a prompt is not asked for again: somebody clicks many times on one image,
and an image that is replaced under the same URL while it is being labelled would spoil the labels in any case."""

TRUSTED_IMAGES = 1000
"""More than all annotators of a server click on in that time, and less than a megabyte."""

Result = TypeVar("Result")


class PromptFailed(PrelabelError):
    """A prompt on an image that could not be viewed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Prompter:
    """Answers prompts with any predictor. Safe to share between threads."""

    def __init__(self) -> None:
        self._fetched = _FetchedImages()

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
        features = self._features(predictor.viewer, request)
        found = _find(predictor.detector, features, prompt, target.model_labels)
        return target.regions(found, predictor.options.polygon_tolerance)

    def _features(self, viewer: Viewer, request: ImageRequest) -> ImageFeatures:
        """The features of the task's image: kept ones where there are some, without asking for the image again where
        that was done a moment ago. Raises PromptFailed."""
        digest = self._fetched.digest(request)
        if digest and (kept := viewer.kept(digest)) is not None:
            return kept
        content = _unless_failed(viewer.fetch(request))
        digest = content_digest(content)
        self._fetched.note(request, digest)
        return _unless_failed(viewer.features(request, content, digest))


class _FetchedImages:
    """The digests of the images fetched last, by task and URL, each for TRUSTED_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: TTLCache[tuple[int | None, str], str] = TTLCache(TRUSTED_IMAGES, TRUSTED_SECONDS)

    def digest(self, request: ImageRequest) -> str | None:
        """The digest of an image that was fetched a moment ago, else None."""
        with self._lock:
            return self._digests.get(_source(request))

    def note(self, request: ImageRequest, digest: str) -> None:
        """The image was fetched just now."""
        with self._lock:
            self._digests[_source(request)] = digest


def _source(request: ImageRequest) -> tuple[int | None, str]:
    """What names an image; a hash, because a data: URI is as long as its image."""
    return request.task_id, hashlib.sha256(str(request.value).encode("utf-8", "surrogatepass")).hexdigest()


def _unless_failed(result: Result | Failure) -> Result:
    if isinstance(result, Failure):
        raise PromptFailed(result)
    return result


def _find(detector: Detector, features: ImageFeatures, prompt: Prompt, labels: Sequence[str]) -> Instances:
    """The object that a prompt shows. Raises PromptError, and PromptFailed where the network fails."""
    size = features.image_size
    if isinstance(prompt, BoxPrompt):
        box = prompt.box(size)
        return _unless_failed(ask(features, lambda: detector.mask_in_box(features, box, labels)))
    points, positive = prompt.pixels(size), np.array(prompt.positive)
    return _unless_failed(ask(features, lambda: detector.mask_at_points(features, points, positive, labels)))


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
