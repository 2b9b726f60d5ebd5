"""What the network made of the images that people look at now, kept for the prompts to come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fbnetv3.detector import ImageFeatures


class FeaturesKey(NamedTuple):
    """`digest`: of the image file's bytes. `version`: of the model that looked at it."""

    digest: str
    version: str


class PromptFeatures:
    """The features of the images used last, `limit` bytes of them at most. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[FeaturesKey, ImageFeatures] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """What is kept now, in bytes."""
        return self._bytes

    def get(self, key: FeaturesKey) -> ImageFeatures | None:
        """The features of an image, None where they are not kept (any more)."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: FeaturesKey, features: ImageFeatures) -> None:
        """Keep them, at the cost of those that were used longest ago; not if they alone are too large."""
        with self._lock:
            if features.nbytes > self._limit:
                return
            if before := self._kept.pop(key, None):
                self._bytes -= before.nbytes
            self._kept[key] = features
            self._bytes += features.nbytes
            while self._bytes > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.nbytes
