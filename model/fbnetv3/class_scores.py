"""The layer of class scores fitted to labelled regions at once: multinomial logistic regression, in a second.

What is fitted is added to what is known already: the penalty is on what is added, so that without an object of a label
its scores hardly move. docs/learning.md has the figures.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from fbnetv3.arrays import Array, softmax
from fbnetv3.engines.engine import ClassScores

FOREGROUND, BACKGROUND = 0.5, 0.4
"""From this box IoU on a region is on an object, as in training; below the other it is on none; between, left out."""

NEW_LABEL = 4.0
"""By how much the logits of a label that nothing is known of are below background's."""

STRENGTH = 50.0
"""Of the penalty: on half of the squares of the weights that are added, for features of spread 1."""

BIAS_STRENGTH = 1.0
"""Likewise on the biases: a few images without an object of a known label say little about it."""

LEAST_SPREAD = 1e-3
"""A feature that hardly varies is not blown up."""

ITERATIONS = 200


def fit_class_scores(vectors: Array, classes: Array, known: ClassScores) -> ClassScores:
    """The layer for regions' vectors (n, d) and their classes (n,), background last; `known`: where it begins.

    The same regions give the same layer.
    """
    vectors = vectors.astype(np.float64)
    mean, spread = vectors.mean(0), np.maximum(vectors.std(0), LEAST_SPREAD)
    weight, bias = _added((vectors - mean) / spread, vectors @ known.weight + known.bias, classes)
    weight /= spread[:, None]
    return ClassScores(
        (known.weight + weight).astype(np.float32), (known.bias + bias - mean @ weight).astype(np.float32)
    )


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
