"""Fitting the head: class scores begin as the base weights' where a label stands for labels of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.class_scores import NEW_LABEL, fit_class_scores
from fbnetv3.detector import Detector
from fbnetv3.engines.engine import ClassScores
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.regions import NO_OBJECT, UNCLEAR, LabelledRegions

MOST_IMAGES = 100
"""More hardly change a head, and by then a training run has made a version."""


def start_head(detector: Detector, labels: Sequence[str], sources: Mapping[str, Sequence[str]]) -> RegionHead:
    """What is known before anything is labelled. `sources`: label -> labels of the detector that it stands for.

    A label without any begins as background, a bit lower.
    """
    weight, bias = detector.engine.class_scores
    rows = [[detector.labels.index(name) for name in sources.get(label, ())] for label in labels]
    weights = [weight[:, known].mean(1) if known else weight[:, -1] for known in rows]
    biases = [bias[known].mean() if known else bias[-1] - NEW_LABEL for known in rows]
    return RegionHead(
        tuple(labels),
        np.stack([*weights, weight[:, -1]], 1),
        np.array([*biases, bias[-1]], np.float32),
        detector.version,
        0,
    )


def fit_head(regions: Sequence[LabelledRegions], start: RegionHead) -> RegionHead:
    """The head for the labels of `start` on the regions of some images, which the same detector described.

    Objects with other labels count as background; of more than MOST_IMAGES the last ones count. The same regions give
    the same head.
    """
    regions = regions[-MOST_IMAGES:]
    clear = [one.owners != UNCLEAR for one in regions]
    vectors = np.concatenate([one.vectors[rows] for one, rows in zip(regions, clear, strict=True)])
    classes = np.concatenate(
        [_classes(one, start.labels)[rows] for one, rows in zip(regions, clear, strict=True)]
    )
    fitted = fit_class_scores(vectors, classes, ClassScores(start.weight, start.bias))
    return replace(start, weight=fitted.weight, bias=fitted.bias, images=len(regions))


def _classes(regions: LabelledRegions, labels: Sequence[str]) -> Array:
    """(n,) each region's class; background, and what is unclear, is the last."""
    place = [labels.index(name) if name in labels else len(labels) for name in regions.names]
    classes: Array = np.array([*place, len(labels)])[np.maximum(regions.owners, NO_OBJECT)]
    return classes
