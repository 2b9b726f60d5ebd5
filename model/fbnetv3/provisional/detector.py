"""A detector with the base detector's network and a project's labels: its class scores are a fitted head's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.config import ModelConfig
from fbnetv3.detector import Detector
from fbnetv3.engines.engine import ClassScores, Encoded, Engine, NetworkOutput, RegionDescriptions, Wanted
from fbnetv3.overlap import non_maximum_suppression
from fbnetv3.provisional.head import RegionHead


def provisional_detector(base: Detector, head: RegionHead, version: str) -> Detector:
    """The base detector with the head's labels; takes milliseconds, and shares what is loaded.

    Raises ValueError for a head that was fitted to another detector's vectors.
    """
    if head.base != base.version:
        raise ValueError(f"the head belongs to {head.base}, not to {base.version}")
    return base.with_engine(HeadEngine(base.engine, head), head.labels, version)


class HeadEngine:
    """See Engine. A region has the box and mask that the base network gives the likeliest of its own classes."""

    def __init__(self, engine: Engine, head: RegionHead) -> None:
        self._engine, self._head = engine, head
        self.name, self.batch_size = engine.name, engine.batch_size

    @property
    def config(self) -> ModelConfig:
        """The base network's configuration."""
        return self._engine.config

    @property
    def has_masks(self) -> bool:
        """Whether the base network has a mask head."""
        return self._engine.has_masks

    @property
    def class_scores(self) -> ClassScores:
        """See Engine."""
        return ClassScores(self._head.weight, self._head.bias)

    def encode(self, images: Sequence[Array]) -> Sequence[Encoded]:
        """See Engine."""
        return self._engine.encode(images)

    def detect(self, encoded: Sequence[Any], wanted: Wanted) -> list[NetworkOutput]:
        """See Engine."""
        return [self._detect(one, wanted) for one in encoded]

    def classify(self, encoded: Any, boxes: Array) -> tuple[Array, Array]:
        """See Engine."""
        described = self.describe(encoded, boxes)
        return described.scores, described.boxes

    def describe(self, encoded: Any, boxes: Array) -> RegionDescriptions:
        """See Engine; every label has the same better box."""
        base = self._engine.describe(encoded, boxes)
        scores = self._head.scores(base.vectors)
        better = better_boxes(base, encoded.size)
        return RegionDescriptions(
            base.vectors, scores, np.repeat(better[:, None], len(self._head.labels), axis=1)
        )

    def mask_probabilities(self, encoded: Any, boxes: Array, classes: Array) -> Array:
        """See Engine; the class decides nothing."""
        likeliest = self._engine.classify(encoded, boxes)[0].argmax(1).astype(np.int64)
        return self._engine.mask_probabilities(encoded, boxes, likeliest)

    def _detect(self, encoded: Any, wanted: Wanted) -> NetworkOutput:
        config = self.config
        base = self._engine.describe(encoded, encoded.proposals)
        scores, boxes = self._head.scores(base.vectors), better_boxes(base, encoded.size)
        regions, classes = reported(scores, boxes, config, wanted.boxes)
        boxes, scores = boxes[regions], scores[regions, classes]
        masked = scores >= wanted.masks[classes]
        masks = None
        if self.has_masks:
            likeliest = base.scores.argmax(1).astype(np.int64)[regions]
            masks = self._engine.mask_probabilities(encoded, boxes[masked], likeliest[masked])
        return NetworkOutput(boxes, scores, classes, masked, masks)


def better_boxes(base: RegionDescriptions, size: tuple[int, int]) -> Array:
    """(n, 4) each region's better box for the likeliest of the base network's classes, inside an input of this size,
    (height, width); not finite where the network fails on a region.
    """
    better: Array = base.boxes[np.arange(len(base.boxes)), base.scores.argmax(1)]
    height, width = size
    return better.clip(0, np.array([width, height] * 2, np.float32))


def reported(
    scores: Array, boxes: Array, config: ModelConfig, least: float | Array = 0.0
) -> tuple[Array, Array]:
    """Which regions are reported, and as which classes, (k,) each, best score first.

    `scores` (n, labels), `boxes` (n, 4). `least`: scores for each label or for all, without which none is.
    """
    likely = (scores > config.score_threshold) & (scores >= least)
    regions, classes = np.nonzero(likely & np.isfinite(boxes).all(1, keepdims=True))
    boxes, scores = boxes[regions], scores[regions, classes]
    apart = boxes + (classes * boxes.max(initial=0))[:, None].astype(np.float32)
    keep = non_maximum_suppression(apart, scores, config.nms_threshold, config.detections_per_image)
    return regions[keep], classes[keep].astype(np.int64)
