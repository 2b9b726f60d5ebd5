"""What the strategies compare of a project's images: features of each image and version, kept on disk.

They are some kilobytes per image. They are kept under the image's address, so a refresh that goes on fetches nothing;
an image that was replaced under its address is viewed again with the next version. Those of other versions are removed,
so there are never more than the project has images.
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
from pathlib import Path

import numpy as np

from fbnetv3.active_learning import PoolImage
from fbnetv3.detector import ImageFeatures
from fbnetv3.files import write_whole
from fbnetv3.instances import Instances
from prelabel.inference.outcomes import Failure
from prelabel.inference.predictor import Predictor
from prelabel.inference.task_images import ImageRequest, TaskImage, image_requests, read_ahead
from prelabel.inference.viewing import ask
from prelabel.publish.survey import SurveyedTask

logger = logging.getLogger(__name__)

FETCHED_AHEAD = 2
"""Images wait in memory at full size, and the network takes longer than fetching one."""


@dataclass(frozen=True, eq=False)
class TaskFeatures:
    """The features of an image of a task, or why there are none; `task_index`: in the tasks that were asked about."""

    task_index: int
    features: PoolImage | Failure


class CachedFeatures:
    """The features of one project's images by one predictor. `folder`: of the project; the version's lies in it.

    Images have features even where the version knows none of the labels: what they look like says something.
    """

    def __init__(self, predictor: Predictor, label_config: str, folder: Path) -> None:
        self._predictor = predictor
        self._label_config = label_config
        self._folder = folder / predictor.version
        for other in folder.glob("*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def note(self, image: TaskImage, features: ImageFeatures) -> None:
        """Keep what the strategies compare of an image that the predictor viewed."""
        found = ask(features, lambda: self._predictor.pool_image(image.request, features))
        if not isinstance(found, Failure):
            self._keep(image.request, found)

    def kept(self, tasks: Sequence[SurveyedTask]) -> list[TaskFeatures]:
        """Those of the images of these tasks that are kept."""
        found = ((one, self._kept(one)) for one in self._requests(tasks))
        return [TaskFeatures(request.task_index, features) for request, features in found if features]

    def of(
        self, tasks: Sequence[SurveyedTask], keep_going: Callable[[], bool] = lambda: True
    ) -> Iterator[TaskFeatures]:
        """Those of all images of these tasks, task by task; new ones are kept.

        `keep_going` is asked before every image; after a no there are no more.
        """
        requests = list(self._requests(tasks))
        unknown = {index: one for index, one in enumerate(requests) if not self._path(one).exists()}
        with ThreadPoolExecutor(FETCHED_AHEAD, thread_name_prefix="features") as pool:
            fetched = read_ahead(unknown.values(), self._predictor.viewer.read, pool, FETCHED_AHEAD)
            for index, request in enumerate(requests):
                if not keep_going():
                    return
                found = self._view(next(fetched)) if index in unknown else self._kept(request)
                yield TaskFeatures(
                    request.task_index, found or self._view(self._predictor.viewer.read(request))
                )

    def _requests(self, tasks: Sequence[SurveyedTask]) -> Iterator[ImageRequest]:
        asked = [{"id": task.id, "data": task.data} for task in tasks]
        specs = [self._predictor.task_spec(self._label_config, task)[0] for task in asked]
        return image_requests(asked, specs, lambda spec: spec.image_keys)

    def _view(self, image: TaskImage) -> PoolImage | Failure:
        def read(_: Sequence[TaskImage], features: Sequence[ImageFeatures]) -> list[PoolImage]:
            return [self._predictor.pool_image(image.request, one) for one in features]

        [found] = self._predictor.viewer.view([image], read)
        if isinstance(found, Failure):
            return found
        self._keep(image.request, found)
        return self._with_choices(found, image.request)

    def _keep(self, request: ImageRequest, found: PoolImage) -> None:
        try:
            write_whole(_to_bytes(found), self._path(request))
        except OSError as error:
            logger.warning("features cannot be kept in %s: %s", self._folder, error.strerror)

    def _kept(self, request: ImageRequest) -> PoolImage | None:
        path = self._path(request)
        try:
            found = _from_bytes(path.read_bytes(), self._predictor.labels)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            logger.warning("dropped damaged features: %s", path.name)
            path.unlink(missing_ok=True)
            return None
        return self._with_choices(found, request)

    def _with_choices(self, found: PoolImage, request: ImageRequest) -> PoolImage:
        return replace(found, choices=self._predictor.choice_distributions(request, found.pooled))

    def _path(self, request: ImageRequest) -> Path:
        labels = self._predictor.capabilities.labels_on(request.spec, request.image_key)
        key = json.dumps([request.value, labels], default=str)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"


def _to_bytes(image: PoolImage) -> bytes:
    found, buffer = image.instances, io.BytesIO()
    np.savez(
        buffer,
        size=np.array(found.image_size),
        boxes=found.boxes,
        scores=found.scores,
        classes=found.classes,
        class_scores=image.class_scores,
        kept=image.kept,
        pooled=image.pooled,
    )
    return buffer.getvalue()


def _from_bytes(content: bytes, labels: tuple[str, ...]) -> PoolImage:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        height, width = stored["size"].tolist()
        found = Instances(
            (height, width), stored["boxes"], stored["scores"], stored["classes"], tuple(labels)
        )
        return PoolImage(found, stored["class_scores"], stored["kept"], stored["pooled"])
