"""A drawn box to a mask: the mask head on that very box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.engines.engine import Engine
from fbnetv3.image_features import ImageFeatures
from fbnetv3.prompts.box_prior import threshold_in_box
from fbnetv3.prompts.reading import Reading


def read_box(engine: Engine, features: ImageFeatures, box: Array, classes: Sequence[int]) -> Reading:
    """The object in a box (4,), x0, y0, x1, y1 in pixels of the image; `classes`: those that it may have.

    Moving the box to where the box head would have it makes masks worse (docs/smart-tools.md): a person is nearer.
    """
    region = (box / features.scale).astype(np.float32)[None]
    scores, _ = engine.classify(features.encoded, region)
    index = classes[int(scores[0, classes].argmax())]
    [probability] = engine.mask_probabilities(features.encoded, region, np.array([index]))
    return Reading(box, index, probability, threshold_in_box(probability))
