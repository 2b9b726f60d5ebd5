"""What the strategies know of a project's images: one look per image and version, kept on disk.

A look is some kilobytes. It is kept under the image's address, so whoever goes on from there fetches nothing; an image
that was replaced under its address is looked at anew with the next version. Those of other versions are removed, so
there are never more than the project has images.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from fbnetv3.active_learning import PoolImage, pool_image_of_features
from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.files import write_whole
from fbnetv3.instances import Instances
from prelabel.inference.outcomes import Failure
from prelabel.inference.predictor import Predictor
from prelabel.inference.task_images import (
    ImageRequest,
    TaskImage,
    image_requests,
    read_ahead,
    read_task_image,
)
from prelabel.publish.survey import SurveyedTask

logger = logging.getLogger(__name__)

FETCHED_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Look:
    """What a look at an image of a task came to; `task_index`: of the list of tasks that was asked about."""

    task_index: int
    found: PoolImage | Failure


class Looks:
    """The looks at one project's images with one predictor. `folder`: of the project; the version's lies in it.

    Images are looked at even where the version knows none of the labels: how they look says something.
    """

    def __init__(self, predictor: Predictor, label_config: str, folder: Path) -> None:
        self._predictor = predictor
        self._label_config = label_config
        self._folder = folder / predictor.version
        self._read = partial(
            read_task_image, fetcher=predictor.fetcher, max_pixels=predictor.options.max_image_pixels
        )
        for other in folder.glob("*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def note(self, image: TaskImage, features: ImageFeatures) -> None:
        """Look at an image that the predictor was set to."""
        self._look(image.request, features)

    def known(self, tasks: Sequence[SurveyedTask]) -> list[Look]:
        """The looks at images of these tasks that are kept."""
        looks = ((one, self._kept(one)) for one in self._requests(tasks))
        return [Look(request.task_index, look) for request, look in looks if look]

    def at(
        self, tasks: Sequence[SurveyedTask], keep_going: Callable[[], bool] = lambda: True
    ) -> Iterator[Look]:
        """The looks at all images of these tasks, task by task; new ones are kept.

        `keep_going` is asked before every image; after a no there are no more.
        """
        requests = list(self._requests(tasks))
        unknown = {index: one for index, one in enumerate(requests) if not self._path(one).exists()}
        with ThreadPoolExecutor(FETCHED_AHEAD, thread_name_prefix="look") as pool:
            fetched = read_ahead(unknown.values(), self._read, pool, FETCHED_AHEAD)
            for index, request in enumerate(requests):
                if not keep_going():
                    return
                found = self._set(next(fetched)) if index in unknown else self._kept(request)
                yield Look(request.task_index, found or self._set(self._read(request)))

    def _requests(self, tasks: Sequence[SurveyedTask]) -> Iterator[ImageRequest]:
        asked = [{"id": task.id, "data": task.data} for task in tasks]
        specs = [self._predictor.task_spec(self._label_config, task)[0] for task in asked]
        return image_requests(asked, specs, lambda spec: spec.image_keys)

    def _set(self, image: TaskImage) -> PoolImage | Failure:
        if isinstance(image.pixels, Failure):
            return image.pixels
        try:
            [features] = self._predictor.detector.set_images([image.pixels])
        except (RuntimeError, ValueError) as error:  # the engines raise RuntimeError for all of their own
            return Failure("model", f"the network failed: {type(error).__name__}")
        return self._look(image.request, features)

    def _look(self, request: ImageRequest, features: ImageFeatures) -> PoolImage | Failure:
        detector = cast("Detector", self._predictor.detector)
        labels = self._predictor.labels_on(request.spec, request.image_key)
        try:
            look = pool_image_of_features(detector, features, labels, self._predictor.calibration)
        except (RuntimeError, ValueError) as error:
            logger.exception("the network failed on an image of %d x %d", *features.image_size)
            return Failure("model", f"the network failed: {type(error).__name__}")
        try:
            write_whole(_to_bytes(look), self._path(request))
        except OSError as error:
            logger.warning("looks cannot be kept in %s: %s", self._folder, error.strerror)
        return self._with_choices(look, request)

    def _kept(self, request: ImageRequest) -> PoolImage | None:
        path = self._path(request)
        try:
            look = _from_bytes(path.read_bytes(), self._predictor.detector.labels)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            logger.warning("dropped a damaged look: %s", path.name)
            path.unlink(missing_ok=True)
            return None
        return self._with_choices(look, request)

    def _with_choices(self, look: PoolImage, request: ImageRequest) -> PoolImage:
        choices = self._predictor.learnt_choices(request.spec, request.image_key, look.pooled)
        return replace(look, choices=choices)

    def _path(self, request: ImageRequest) -> Path:
        labels = self._predictor.labels_on(request.spec, request.image_key)
        key = json.dumps([request.value, labels], default=str)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"


def _to_bytes(look: PoolImage) -> bytes:
    found, buffer = look.instances, io.BytesIO()
    np.savez(
        buffer,
        size=np.array(found.image_size),
        boxes=found.boxes,
        scores=found.scores,
        classes=found.classes,
        class_scores=look.class_scores,
        kept=look.kept,
        pooled=look.pooled,
    )
    return buffer.getvalue()


def _from_bytes(content: bytes, labels: tuple[str, ...]) -> PoolImage:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        height, width = stored["size"].tolist()
        found = Instances(
            (height, width), stored["boxes"], stored["scores"], stored["classes"], tuple(labels)
        )
        return PoolImage(found, stored["class_scores"], stored["kept"], stored["pooled"])
