"""The images of labelled tasks: fetched, and kept in a folder under the hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fbnetv3.data.snapshot import SnapshotError
from fbnetv3.files import write_whole
from fbnetv3.images import ImageError, read_image
from prelabel.labels.accepted import AcceptedTask
from prelabel.labelstudio.config.image_values import image_value, shown_key
from prelabel.labelstudio.config.project_config import TaskControls
from prelabel.labelstudio.errors import FetchError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher


@dataclass(frozen=True)
class RequestedImage:
    """One image of an accepted task, and what the config says of the task."""

    task: AcceptedTask
    key: str
    controls: TaskControls

    @property
    def name(self) -> str:
        """What people know it by."""
        return f"task {self.task.task_id}, {shown_key(self.key)}"


@dataclass(frozen=True)
class StoredImage:
    """An image in the folder: its name there, and (height, width) in pixels when upright."""

    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True)
class MissingImage:
    """Why an image is not in the folder; `is_outage`: because Label Studio was away."""

    reason: str
    is_outage: bool = False


def image_store(
    fetcher: ImageFetcher, folder: Path, max_pixels: int
) -> Callable[[RequestedImage], StoredImage | MissingImage]:
    """`store_image` into this folder."""
    return partial(store_image, fetcher=fetcher, folder=folder, max_pixels=max_pixels)


def store_image(
    image: RequestedImage, fetcher: ImageFetcher, folder: Path, max_pixels: int
) -> StoredImage | MissingImage:
    """Put an image into the folder; or why that cannot be done. Raises SnapshotError where the disk refuses."""
    try:
        content = fetcher.fetch(image_value(image.task.data, image.key), image.task.task_id)
        height, width = read_image(content, max_pixels=max_pixels).shape[:2]
    except FetchError as error:
        return MissingImage(str(error), error.is_outage)
    except ImageError as error:
        return MissingImage(str(error))
    except MemoryError:
        return MissingImage("the image does not fit into memory")
    sha256 = hashlib.sha256(content).hexdigest()
    file = folder / sha256
    try:
        if not file.is_file() or file.stat().st_size != len(content):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(content, file)
    except OSError as error:
        raise SnapshotError(f"cannot write {file}: {error.strerror or error}") from None
    return StoredImage(sha256, (height, width))
