"""The images of a list of tasks, fetched and decoded a few ahead of the network."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from fbnetv3.arrays import Array
from fbnetv3.images import ImageError, read_image
from prelabel.inference.outcomes import Failure
from prelabel.labelstudio.config.image_values import image_value, shown_key
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.errors import FetchError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageRequest:
    """One image of one task: `task_index` is the task's place in the list, `value` what its data holds, `spec` what
    the labelling config asks of this task."""

    task_index: int
    task_id: int | None
    image_key: str
    value: Any
    spec: LabelSpec

    @property
    def name(self) -> str:
        """What messages call the image."""
        return shown_key(self.image_key)


@dataclass(frozen=True, eq=False)
class TaskImage:
    """What became of a request: upright RGB `pixels`, (H, W, 3) uint8, or a failure; `digest`: of the file's bytes,
    empty where they could not be had."""

    request: ImageRequest
    pixels: Array | Failure
    digest: str = ""


def task_data(task: Any) -> Mapping[str, Any]:
    """The data of a task as Label Studio sends it; empty where there is none that can be used."""
    data = task.get("data") if isinstance(task, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def image_requests(
    tasks: Sequence[Any], specs: Sequence[LabelSpec], image_keys: Callable[[LabelSpec], Sequence[str]]
) -> Iterator[ImageRequest]:
    """Every image of every task, task by task. `specs`: one per task; `image_keys`: the images that one asks for. A
    task without usable data asks for images that are None.
    """
    for index, (task, spec) in enumerate(zip(tasks, specs, strict=True)):
        task_id = task.get("id") if isinstance(task, Mapping) else None
        for key in image_keys(spec):
            value = image_value(task_data(task), key)
            yield ImageRequest(index, task_id if type(task_id) is int else None, key, value, spec)


def fetch_image(request: ImageRequest, fetcher: ImageFetcher) -> bytes | Failure:
    """The bytes of the image file."""
    try:
        return fetcher.fetch(request.value, request.task_id)
    except FetchError as error:
        return Failure("fetch", f"{request.name}: {error}")


def content_digest(content: bytes) -> str:
    """What tells image files apart."""
    return hashlib.sha256(content).hexdigest()


def decode_image(request: ImageRequest, content: bytes, max_pixels: int) -> Array | Failure:
    """Upright RGB pixels (H, W, 3) uint8 of an image file."""
    try:
        return read_image(
            content,
            max_pixels,
            warn=lambda text: logger.warning("Task %s, %s: %s", request.task_id, request.name, text),
        )
    except ImageError as error:
        return Failure("decode", f"{request.name}: {error}")
    except MemoryError:
        return Failure("decode", f"{request.name}: the image does not fit into memory")


def read_ahead(
    requests: Iterable[ImageRequest],
    read: Callable[[ImageRequest], TaskImage],
    pool: Executor,
    ahead: int,
) -> Iterator[TaskImage]:
    """`read` of every request, in order; at most `ahead` images wait in memory for the consumer."""
    waiting: deque[Future[TaskImage]] = deque()
    try:
        for request in requests:
            waiting.append(pool.submit(read, request))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
