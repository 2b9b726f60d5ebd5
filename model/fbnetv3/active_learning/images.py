"""What the strategies know of an image that nobody has labelled yet: what the serving detector makes of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.classification.linear_head import pool
from fbnetv3.detector import Detector
from fbnetv3.image_features import ImageFeatures
from fbnetv3.images import ImageSource
from fbnetv3.instances import Instances
from fbnetv3.judging.calibration import IDENTITY, Calibration


@dataclass(frozen=True, eq=False)
class PoolImage:
    """One unlabelled image.

    `instances`: n of them, from the network's own threshold on, so that near misses that nobody is shown are there
    too; without masks. `class_scores`: (n, classes) float32, what the box head says of their final boxes; what is
    left to 1 is background. `kept`: (n,) float32, 0..1, the probability that a person keeps the region. `pooled`:
    (d,) float32, see fbnetv3.classification.linear_head.pool. `choices`: what heads on it say of the whole image, see
    LinearHead.distributions.
    """

    instances: Instances
    class_scores: Array
    kept: Array
    pooled: Array
    choices: tuple[Array, ...] = ()

    @property
    def distributions(self) -> Array:
        """(n, classes + 1) float32: the class scores with background last; every row sums to 1."""
        background = (1 - self.class_scores.sum(1, keepdims=True)).clip(0, 1)
        return np.concatenate([self.class_scores, background], 1)


def pool_image(
    detector: Detector,
    image: ImageSource,
    labels: Collection[str] | None = None,
    calibration: Calibration = IDENTITY,
) -> PoolImage:
    """What one pass of the detector tells of an image. Masks are not made, no strategy needs them.

    `labels`: those of the detector that the project asks for, by default all; objects of others are background here.
    Raises ImageError for a source that cannot be read.
    """
    return pool_image_of_features(detector, detector.set_image(image), labels, calibration)


def pool_image_of_features(
    detector: Detector,
    features: ImageFeatures,
    labels: Collection[str] | None = None,
    calibration: Calibration = IDENTITY,
) -> PoolImage:
    """The same for an image that was set."""
    wanted = [label for label in detector.labels if labels is None or label in labels]
    [found] = detector.find([features], dict.fromkeys(wanted, 0.0), mask_threshold=math.inf)
    scores = _class_scores(detector, features, found)
    columns = [detector.labels.index(label) for label in wanted]
    return PoolImage(found, scores[:, columns], calibration(found.scores), pool(features.maps))


def pooled_features(images: Iterable[PoolImage]) -> Array:
    """(n, d) float32 of n images; (0, 0) of none."""
    rows = [image.pooled for image in images]
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _class_scores(detector: Detector, features: ImageFeatures, found: Instances) -> Array:
    if not len(found):
        return np.zeros((0, len(detector.labels)), np.float32)
    scores, _ = detector.engine.classify(features.encoded, found.boxes / features.scale)
    return scores
