"""Fitting linear heads to accepted choices: regularised logistic regression, the strength chosen by cross-validation.

Everything is done at once on a few hundred vectors, so it takes seconds, and the same labels give the same head.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fbnetv3.arrays import Array
from fbnetv3.classification.linear_head import LinearHead, activate, pool_images
from fbnetv3.data.image_labels import HeadSpec, truth_of
from fbnetv3.data.snapshot import TRAIN, Snapshot
from fbnetv3.detector import Detector

logger = logging.getLogger(__name__)

#: Candidates for the strength of the regularisation, strongest first: beyond them no set did better.
STRENGTHS: tuple[float, ...] = tuple(10.0 ** (exponent / 2) for exponent in range(2, -7, -1))
#: What a strength is expected to be before labels are looked at, and how many powers of ten around that are usual. A
#: few left-out labels alone often point to an extreme (docs/choices.md).
USUAL_STRENGTH, USUAL_RANGE = 0.3, 0.5
#: Parts of the labels that are left out in turn to choose the strength.
FOLDS = 5
#: Images about which nothing is known, that are added to the labelled ones. More of them cost multiple choices more
#: than they help: most classes of those hold for few images.
UNKNOWN_SINGLE, UNKNOWN_MULTIPLE = 3, 1
#: A channel that hardly varies is not blown up to more than this part of the usual spread.
LEAST_SPREAD = 0.1
#: Enough for convergence to the tolerance; more would change no digit that anybody sees.
STEPS, TOLERANCE = 200, 1e-3


def fit_heads(
    detector: Detector, snapshot: Snapshot, on_image: Callable[[], None] = lambda: None
) -> tuple[LinearHead, ...]:
    """A head for every choice of the snapshot, fitted on its training images, which are looked at once each.

    A choice whose labels are all the same has nothing to learn from and is left out. `on_image` is called after
    each image. Raises ImageError for one that cannot be read.
    """
    images = [image for image in snapshot.labelled_images(TRAIN) if image.chosen]
    pooled = pool_images(detector, [image.path for image in images], on_image)
    heads = []
    for spec in snapshot.head_specs:
        rows = [index for index, image in enumerate(images) if spec.name in image.chosen]
        truth = truth_of([images[index].chosen[spec.name] for index in rows], spec.classes)
        if len(np.unique(truth, axis=0)) > 1:
            heads.append(fit_head(spec, pooled[rows], truth))
    return tuple(heads)


def fit_head(spec: HeadSpec, pooled: Array, truth: Array) -> LinearHead:
    """The head for n images' pooled features (n, d) and what was chosen for them (n, classes) bool.

    A class that nobody chose gets a probability of about 1 / n.
    """
    strength = _best_strength(pooled, truth, spec.multi_label)
    logger.info("%s: %d images, regularisation %.3g", spec.name, len(truth), strength)
    [model] = _fit(pooled, truth, spec.multi_label, (strength,))
    return LinearHead(spec, model.weight.astype(np.float32), model.bias.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Model:
    """Logits are x @ weight.T + bias; float64."""

    weight: Array
    bias: Array


def _best_strength(pooled: Array, truth: Array, multi_label: bool) -> float:
    """The most probable strength, given the log loss on images that were left out."""
    fold_of = _folds(truth)
    losses = 0.5 * (np.log10(np.array(STRENGTHS) / USUAL_STRENGTH) / USUAL_RANGE) ** 2
    for fold in np.unique(fold_of):
        kept, left = fold_of != fold, fold_of == fold
        for index, model in enumerate(_fit(pooled[kept], truth[kept], multi_label, STRENGTHS)):
            probabilities = activate(pooled[left] @ model.weight.T + model.bias, multi_label)
            losses[index] += _log_loss(probabilities, truth[left], multi_label)
    return STRENGTHS[int(losses.argmin())]


def _folds(truth: Array) -> Array:
    """(n,) fold of each image: those with the same classes are spread over the folds."""
    fold_of = np.empty(len(truth), int)
    fold_of[np.lexsort(truth.T)] = np.arange(len(truth)) % FOLDS
    return fold_of


def _log_loss(probabilities: Array, truth: Array, multi_label: bool) -> float:
    likely = np.where(truth, probabilities, 1 - probabilities if multi_label else 1)
    return float(-np.log(likely.clip(1e-12)).sum())


def _fit(pooled: Array, truth: Array, multi_label: bool, strengths: tuple[float, ...]) -> list[_Model]:
    """A model for each strength.

    Features are standardised and turned into the images' principal axes: the best weights lie in their span whatever
    d is (representer theorem), so that a hundred images have a hundred unknowns per class.
    """
    mean, spread = pooled.mean(0, dtype=np.float64), pooled.std(0, dtype=np.float64)
    scale = np.maximum(spread, max(LEAST_SPREAD * float(np.median(spread)), 1e-12)) * np.sqrt(len(spread))
    u, s, v = np.linalg.svd((pooled - mean) / scale, full_matrices=False)
    targets = torch.from_numpy(_targets(truth, multi_label))
    models = []
    for strength in strengths:
        # In these units all axes curve alike, and a dozen steps do what takes hundreds without.
        unit = 1 / np.sqrt(s**2 / 4 + strength)
        inputs, penalty = torch.from_numpy(u * (s * unit)), torch.from_numpy(strength * unit**2)
        weights, bias = _minimise(inputs, targets, multi_label, penalty)
        weight = (weights.numpy().T * unit) @ v / scale
        models.append(_Model(weight, bias.numpy() - weight @ mean))
    return models


def _targets(truth: Array, multi_label: bool) -> Array:
    """What people chose, with a few more images about which nothing is known: n labels are not certainty (Platt 1999).

    It keeps the bias of a class that never or always occurs finite.
    """
    count, classes = truth.shape
    unknown, share = (UNKNOWN_MULTIPLE, 1 / 2) if multi_label else (UNKNOWN_SINGLE, 1 / classes)
    shares: Array = (count * truth + unknown * share) / (count + unknown)
    return shares


def _minimise(inputs: Tensor, targets: Tensor, multi_label: bool, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (r, classes) and bias (classes,) of the least log loss plus half of `penalty` (r,) * weights squared."""
    weights = torch.zeros(inputs.shape[1], targets.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(targets.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=STEPS, tolerance_grad=TOLERANCE, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = inputs @ weights + bias
        if multi_label:
            loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        else:
            loss = F.cross_entropy(logits, targets, reduction="sum")
        loss = loss + 0.5 * (penalty[:, None] * weights.square()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach(), bias.detach()
