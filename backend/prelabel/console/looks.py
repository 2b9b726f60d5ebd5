"""Images that somebody tries out, with what the network made of them: thresholds are read from that in milliseconds."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cachetools import LRUCache

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.instances import Instances
from fbnetv3.overlap import box_iou

MOST_KEPT = 8

LEAST_SCORE = 0.05
"""What scores less is shown to nobody."""


@dataclass(frozen=True, eq=False)
class Look:
    """One image, set for a detector, which took so many milliseconds."""

    detector: Detector
    features: ImageFeatures
    version: str
    milliseconds: int

    @cached_property
    def found(self) -> Instances:
        """Everything that the network finds in it, the best first."""
        return self.detector.find([self.features], LEAST_SCORE)[0]

    def from_score(self, score: float, most_overlap: float) -> Instances:
        """What scores so much, 0..1; of regions of one label that overlap by more than this IoU, 0..1, the best."""
        found = self.found.select(self.found.scores >= score)
        return found.select(_apart(found, most_overlap))


class Looks:
    """The newest few, safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: LRUCache[str, Look] = LRUCache(MOST_KEPT)

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


def _apart(found: Instances, most_overlap: float) -> list[int]:
    """Indices of the regions that no better one of their label overlaps by more."""
    overlap = box_iou(found.boxes, found.boxes) * (found.classes[:, None] == found.classes)
    kept: list[int] = []
    for index in np.argsort(-found.scores, kind="stable").tolist():
        if not kept or overlap[index, kept].max() <= most_overlap:
            kept.append(index)
    return kept
