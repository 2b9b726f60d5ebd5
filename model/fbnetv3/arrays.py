"""numpy arrays: their type, of which docstrings say shapes, units and dtypes, and two functions that numpy lacks."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def sigmoid(logits: Array) -> Array:
    """The logistic function, 0..1, of every element; no logit is too large for it."""
    probabilities: Array = 0.5 * (1 + np.tanh(0.5 * logits))
    return probabilities


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis, 0..1, that add up to one; -inf has none."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities: Array = powers / powers.sum(-1, keepdims=True)
    return probabilities
