"""What the network made of the images that people look at now, kept for the prompts to come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from cachetools import LRUCache

if TYPE_CHECKING:
    from fbnetv3.detector import ImageFeatures


class FeaturesKey(NamedTuple):
    """`digest`: of the image file's bytes. `version`: of the model that they are of."""

    digest: str
    version: str


class PromptFeatures:
    """The features of the images used last, `limit` bytes of them at most. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[FeaturesKey, ImageFeatures] = LRUCache(limit, lambda features: features.nbytes)

    def get(self, key: FeaturesKey) -> ImageFeatures | None:
        """The features of an image, None where they are not kept (any more)."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: FeaturesKey, features: ImageFeatures) -> None:
        """Keep them, at the cost of those that were used longest ago; not if they alone are too large."""
        with self._lock:
            if features.nbytes <= self._kept.maxsize:
                self._kept[key] = features
