"""Fitting the head: multinomial logistic regression, drawn to what the base weights know, in a second.

Each class's scores begin as the base weights' where a label stands for labels of theirs, and as background's, a bit
lower, where it is new. The penalty is on what is added to that: without an object of a label its scores hardly move.
docs/learning.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from fbnetv3.arrays import Array, softmax
from fbnetv3.detector import Detector
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.regions import LabelledRegions

STRENGTH = 50.0
"""Of the penalty: on half of the squares of the weights that are added, for features of spread 1."""

BIAS_STRENGTH = 1.0
"""Likewise on the biases: a few images without an object of a known label say little about it."""

NEW_LABEL = 4.0
"""By how much a new label's logits begin below background's."""

LEAST_SPREAD = 1e-3
"""A feature that hardly varies is not blown up."""

ITERATIONS = 200


def start_head(detector: Detector, labels: Sequence[str], sources: Mapping[str, Sequence[str]]) -> RegionHead:
    """What is known before anything is labelled. `sources`: label -> labels of the detector that it stands for."""
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

    Objects with other labels count as background. The same regions give the same head.
    """
    vectors = np.concatenate([one.vectors for one in regions]).astype(np.float64)
    classes = np.concatenate([_classes(one, start.labels) for one in regions])
    mean, spread = vectors.mean(0), np.maximum(vectors.std(0), LEAST_SPREAD)
    known = vectors @ start.weight + start.bias
    weight, bias = _added((vectors - mean) / spread, known, classes)
    weight /= spread[:, None]
    return replace(
        start,
        weight=(start.weight + weight).astype(np.float32),
        bias=(start.bias + bias - mean @ weight).astype(np.float32),
        images=len(regions),
    )


def _classes(regions: LabelledRegions, labels: Sequence[str]) -> Array:
    """(n,) each region's class; background is the last."""
    place = [labels.index(name) if name in labels else len(labels) for name in regions.names]
    return np.array([*place, len(labels)])[regions.owners]


def _added(inputs: Array, known: Array, classes: Array) -> tuple[Array, Array]:
    """Weights (d, count) and biases (count,) that are added to `known` logits (n, count): of the least log loss with
    its penalty.
    """
    count = known.shape[1]
    wanted = np.eye(count)[classes]
    shape = (inputs.shape[1] + 1, count)
    penalty = np.full((shape[0], 1), STRENGTH)
    penalty[-1] = BIAS_STRENGTH

    def loss(flat: Array) -> tuple[float, Array]:
        both = flat.reshape(shape)
        probabilities = softmax(known + inputs @ both[:-1] + both[-1])
        likely = np.maximum(probabilities[np.arange(len(classes)), classes], np.finfo(float).tiny)
        difference = probabilities - wanted
        gradient = np.vstack([inputs.T @ difference, difference.sum(0)]) + penalty * both
        return float(-np.log(likely).sum() + (penalty * both**2).sum() / 2), gradient.ravel()

    start = np.zeros(shape).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    both = found.x.reshape(shape)
    return both[:-1], both[-1]
