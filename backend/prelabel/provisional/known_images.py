"""Images of labelled tasks that were stored a moment ago, so that a label more does not fetch and decode all again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from cachetools import TTLCache

from prelabel.labels.stored_images import MissingImage, RequestedImage, StoredImage
from prelabel.labelstudio.config.image_values import image_value

TRUSTED_SECONDS = 300.0
"""For which an image under an address is taken for the same: smart tools do so too."""

MISSING_SECONDS = 60.0
"""For which an image that could not be had is not asked for again: each may take until a time-out."""

REMEMBERED = 10_000
"""A megabyte or two."""

Store = Callable[[RequestedImage], StoredImage | MissingImage]


class KnownImages:
    """What became of each image. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: TTLCache[str, StoredImage] = TTLCache(REMEMBERED, TRUSTED_SECONDS)
        self._missing: TTLCache[str, MissingImage] = TTLCache(REMEMBERED, MISSING_SECONDS)

    def before(self, store: Store) -> Store:
        """`store`, asked only for images of which nothing is known."""

        def stored(image: RequestedImage) -> StoredImage | MissingImage:
            key = _key(image)
            with self._lock:
                known = self._stored.get(key) or self._missing.get(key)
            if known:
                return known
            found = store(image)
            with self._lock:
                if isinstance(found, StoredImage):
                    self._stored[key] = found
                else:
                    self._missing[key] = found
            return found

        return stored


def _key(image: RequestedImage) -> str:
    """A hash, because a data: URI is as long as its image."""
    source = f"{image.task.task_id} {image.key} {image_value(image.task.data, image.key)}"
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
