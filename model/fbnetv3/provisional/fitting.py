"""Fitting the head: regularised multinomial logistic regression, in a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from fbnetv3.arrays import Array, softmax
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.regions import LabelledRegions

STRENGTH = 1 / 0.03
"""Of the penalty on the squares of the weights of standardised features (docs/learning.md)."""

LEAST_SPREAD = 1e-3
"""A feature that hardly varies is not blown up."""


def fit_head(regions: Sequence[LabelledRegions], labels: Sequence[str], base: str) -> RegionHead:
    """The head for `labels` on the regions of some images, which the detector of version `base` described.

    Objects with other labels count as background. The same regions give the same head.
    """
    vectors = np.concatenate([one.vectors for one in regions]).astype(np.float64)
    classes = np.concatenate([_classes(one, labels) for one in regions])
    mean, spread = vectors.mean(0), np.maximum(vectors.std(0), LEAST_SPREAD)
    weight, bias = _fit((vectors - mean) / spread, classes, len(labels) + 1)
    weight /= spread[:, None]
    bias = bias - mean @ weight
    return RegionHead(tuple(labels), weight.astype(np.float32), bias.astype(np.float32), base, len(regions))


def _classes(regions: LabelledRegions, labels: Sequence[str]) -> Array:
    """(n,) each region's class; background is the last."""
    place = [labels.index(name) if name in labels else len(labels) for name in regions.names]
    return np.array([*place, len(labels)])[regions.owners]


def _fit(inputs: Array, classes: Array, count: int) -> tuple[Array, Array]:
    """Weights (d, count) and biases (count,) of the least log loss with its penalty."""
    wanted = np.eye(count)[classes]
    shape = (inputs.shape[1] + 1, count)

    def loss(flat: Array) -> tuple[float, Array]:
        both = flat.reshape(shape)
        probabilities = softmax(inputs @ both[:-1] + both[-1])
        likely = probabilities[np.arange(len(classes)), classes]
        difference = probabilities - wanted
        gradient = np.vstack([inputs.T @ difference + STRENGTH * both[:-1], difference.sum(0)])
        value = -np.log(np.maximum(likely, 1e-300)).sum() + STRENGTH / 2 * np.square(both[:-1]).sum()
        return float(value), gradient.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    both = found.x.reshape(shape)
    return both[:-1], both[-1]
