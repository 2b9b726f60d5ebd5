"""Clicks to a mask: of all candidates the one that explains the clicks best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Engine
from fbnetv3.image_features import ImageFeatures
from fbnetv3.prompts.boxes import SoftMask
from fbnetv3.prompts.candidates import candidates_at
from fbnetv3.prompts.scoring import LEAST_VALUE, WEIGHTS, measurements, thresholds


def read_points(
    engine: Engine, features: ImageFeatures, points: Array, positive: Array, classes: Sequence[int]
) -> SoftMask | None:
    """The mask that holds all positive points and no other, and fits best; None where there is none.

    `points` (k, 2), x, y in pixels of the image, on the object where `positive` (k,) bool; `classes`: those that the
    object may have.
    """
    clicks = points / features.scale[:2]
    found = candidates_at(engine, features.encoded, clicks[positive], classes)
    cuts = thresholds(found, clicks, positive, engine.config.mask_threshold)
    values = measurements(features.thumbnail, found, clicks, positive) @ WEIGHTS
    # A second click means that there is something.
    least = LEAST_VALUE if len(points) == 1 else -np.inf
    usable = np.flatnonzero(np.isfinite(cuts) & (values >= least))
    if not len(usable):
        return None
    best = usable[values[usable].argmax()]
    return SoftMask(
        found.boxes[best] * features.scale, int(found.classes[best]), found.masks[best], float(cuts[best])
    )
