"""The weights of `fbnetv3.review.likelihoods`, fitted to sets with injected errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from fbnetv3.overlap import box_iou
from fbnetv3.review import OutOfFold
from fbnetv3.review.evidence import SAME_OBJECT, of_detections, of_objects
from fbnetv3.review.likelihoods import OUTCOMES, Likelihoods
from measuring.injection import KIND_OF, Spoilt

PENALTY = 1.0
"""On the squared weights, against the sum of SIZE losses: it decides only where there are no data."""

SIZE = 3000
"""All sets together count as so many objects, and each seed of a set as much as any other."""


class Seen(NamedTuple):
    """One data set with one seed's errors, and what was made of it."""

    data: str
    spoilt: Spoilt
    predictions: Sequence[OutOfFold]


def fit(seen: Sequence[Seen]) -> Likelihoods:
    """Multinomial regression for objects and logistic regression for detections."""
    objects, detections = [_object_rows(one) for one in seen], [_detection_rows(one) for one in seen]
    outcomes = _regression(objects, len(OUTCOMES))
    overlooked = _regression(detections, 2)
    return Likelihoods(_rows(outcomes - outcomes[0]), tuple(_rows(overlooked[1:] - overlooked[0])[0]))


def _object_rows(one: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, 5) of all objects, and which of OUTCOMES each is (n,)."""
    kinds = {(e.image, e.object): KIND_OF[e.error] for e in one.spoilt.errors if e.object is not None}
    values, outcomes = [], []
    for image, (example, seen) in enumerate(zip(one.spoilt.examples, one.predictions, strict=True)):
        values.append(of_objects(example, seen).values)
        outcomes += [OUTCOMES.index(kinds.get((image, place))) for place in range(len(example.boxes))]
    return np.concatenate(values), np.array(outcomes)


def _detection_rows(one: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, 3) of all detections on no label, and whether each is on a dropped object (n,)."""
    values, overlooked = [], []
    for image, (example, seen) in enumerate(zip(one.spoilt.examples, one.predictions, strict=True)):
        evidence = of_detections(example, seen)
        dropped = [e.box for e in one.spoilt.errors if e.image == image and e.error == "drop"]
        iou = box_iou(seen.instances.boxes[evidence.index], np.array(dropped, np.float32).reshape(-1, 4))
        values.append(evidence.values)
        overlooked.append(iou.max(1, initial=0.0) >= SAME_OBJECT)
    return np.concatenate(values), np.concatenate(overlooked).astype(int)


def _regression(sets: Sequence[tuple[np.ndarray, np.ndarray]], outcomes: int) -> np.ndarray:
    """Weights (outcomes, values + 1), the offset last."""
    x = torch.from_numpy(np.concatenate([np.column_stack([v, np.ones(len(v))]) for v, _ in sets]))
    y = torch.from_numpy(np.concatenate([classes for _, classes in sets]))
    share = torch.from_numpy(np.concatenate([np.full(len(v), SIZE / len(sets) / len(v)) for v, _ in sets]))
    weights = torch.zeros(outcomes, x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(x @ weights.T, y, reduction="none")
        total = (losses * share).sum() + PENALTY / 2 * weights[:, :-1].square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return weights.detach().numpy()


def _rows(weights: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 2) for value in row) for row in weights)
