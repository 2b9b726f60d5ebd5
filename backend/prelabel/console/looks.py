"""Images that somebody tries out, with what the network made of them: thresholds are read from that in milliseconds."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

import numpy as np
from cachetools import TTLCache
from PIL import Image

from fbnetv3.arrays import Array
from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.instances import Instances
from fbnetv3.overlap import box_iou

MOST_KEPT, KEPT_SECONDS = 8, 900.0

MOST_PIXELS = 4_000_000
"""Of an image that is kept; the network sees a twentieth of that."""

LEAST_SCORE = 0.05
"""What scores less is shown to nobody."""


@dataclass(frozen=True, eq=False)
class Look:
    """One image, set for a detector, which took so many milliseconds."""

    detector: Detector
    features: ImageFeatures
    version: str
    found: Instances
    milliseconds: int

    @classmethod
    def of(cls, detector: Detector, pixels: Array) -> Look:
        """Show an image to a detector; everything that scores LEAST_SCORE is kept."""
        started = time.perf_counter()
        features = detector.set_image(pixels)
        found = detector.find([features], LEAST_SCORE)[0]
        return cls(detector, features, detector.version, found, round(1000 * (time.perf_counter() - started)))

    def from_score(self, score: float, most_overlap: float) -> Instances:
        """What scores so much, 0..1; of regions of one label that overlap by more than this IoU, 0..1, the best."""
        found = self.found.select(self.found.scores >= score)
        return found.select(_apart(found, most_overlap))


class Looks:
    """The newest few, safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: TTLCache[str, Look] = TTLCache(MOST_KEPT, KEPT_SECONDS)

    def keep(self, look: Look) -> str:
        """The key under which it can be had."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._looks[key] = look
        return key

    def get(self, key: str) -> Look | None:
        """None where it has made room for others."""
        with self._lock:
            return self._looks.get(key)


def of_bounded_size(pixels: Array) -> Array:
    """The image, smaller where it has more than MOST_PIXELS."""
    scale = (MOST_PIXELS / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    if scale >= 1:
        return pixels
    size = max(int(pixels.shape[1] * scale), 1), max(int(pixels.shape[0] * scale), 1)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


def _apart(found: Instances, most_overlap: float) -> list[int]:
    """Indices of the regions that no better one of their label overlaps by more."""
    overlap = box_iou(found.boxes, found.boxes) * (found.classes[:, None] == found.classes)
    kept: list[int] = []
    for index in np.argsort(-found.scores, kind="stable").tolist():
        if not kept or overlap[index, kept].max() <= most_overlap:
            kept.append(index)
    return kept
