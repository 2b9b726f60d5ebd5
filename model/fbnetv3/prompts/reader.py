"""From a prompt to an instance: the mask that it comes to, cut and tight in its box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.edges import cut_mask
from fbnetv3.engines.engine import Engine
from fbnetv3.image_features import ImageFeatures
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.prompts import boxes_alone
from fbnetv3.prompts.boxes import SoftMask, read_box
from fbnetv3.prompts.points import read_points


class PromptReader:
    """Reads prompts with a detector's engine and labels; see Detector.mask_in_box and mask_at_points.

    `refine`: whether edges are refined.
    """

    def __init__(self, engine: Engine, labels: tuple[str, ...], refine: bool) -> None:
        self._engine = engine
        self._labels = labels
        self._refine = refine

    def in_box(self, features: ImageFeatures, box: Array, labels: Sequence[str]) -> Instances:
        """One instance, or none."""
        height, width = features.image_size
        box = np.asarray(box, np.float32).clip(0, np.array([width, height] * 2, np.float32))
        classes = self._classes(labels)
        if not (box[2:] > box[:2]).all():
            return self._nothing(features)
        if not self._engine.has_masks:
            return self._box_alone(features, boxes_alone.in_box(self._engine, features, box, classes))
        soft = read_box(self._engine, features, box, classes)
        return self._instance(features, soft, self._cut(features, soft, self._refine))

    def at_points(
        self, features: ImageFeatures, points: Array, positive: Array, labels: Sequence[str]
    ) -> Instances:
        """One instance, or none."""
        classes = self._classes(labels)
        if not positive.any():
            return self._nothing(features)
        if not self._engine.has_masks:
            found = boxes_alone.at_points(self._engine, features, points, positive, classes)
            return self._box_alone(features, found)
        soft = read_points(self._engine, features, points, positive, classes)
        if soft is None:
            return self._nothing(features)
        mask = self._cut(features, soft, self._refine)
        if (_holds(mask, points) != positive).any():
            mask = self._cut(features, soft, refine=False)
        return self._instance(features, soft, mask)

    def _cut(self, features: ImageFeatures, soft: SoftMask, refine: bool) -> BoxMask:
        return cut_mask(features.pixels, soft.probability, soft.box, soft.threshold, refine)

    def _classes(self, labels: Sequence[str]) -> list[int]:
        """The classes of these labels; without any, all."""
        return [self._labels.index(label) for label in labels] or list(range(len(self._labels)))

    def _instance(self, features: ImageFeatures, soft: SoftMask, mask: BoxMask) -> Instances:
        """The mask in the box that it fills; nothing where it is empty."""
        tight = BoxMask.from_full(mask.bitmap)
        if not tight.area:
            return self._nothing(features)
        height, width = tight.bitmap.shape
        x, y = mask.x + tight.x, mask.y + tight.y
        box = np.array([x, y, x + width, y + height])
        moved = BoxMask(x, y, tight.bitmap)
        return self._one(features, box, soft.class_index, soft.score, (moved,))

    def _box_alone(self, features: ImageFeatures, found: boxes_alone.FoundBox | None) -> Instances:
        if found is None:
            return self._nothing(features)
        return self._one(features, found.box, found.class_index, found.score, None)

    def _one(
        self,
        features: ImageFeatures,
        box: Array,
        class_index: int,
        score: float,
        masks: tuple[BoxMask, ...] | None,
    ) -> Instances:
        boxes, scores = box.astype(np.float32)[None], np.array([score], np.float32)
        return Instances(features.image_size, boxes, scores, np.array([class_index]), self._labels, masks)

    def _nothing(self, features: ImageFeatures) -> Instances:
        return Instances.empty(features.image_size, self._labels, self._engine.has_masks)


def _holds(mask: BoxMask, points: Array) -> Array:
    """(k,) bool: whether the pixel of each point (k, 2) is set."""
    columns, rows = np.floor(points).astype(int).T - np.array([[mask.x], [mask.y]])
    height, width = mask.bitmap.shape
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    covered: Array = inside & mask.bitmap[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return covered
