"""The network that training starts from: the start weights, with predictors for the labels of the snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fbnetv3.data.label_names import in_spelling_of
from fbnetv3.factory import create_model
from fbnetv3.network.rcnn import RCNN
from fbnetv3.weights import Checkpoint

CLASS_SCORES = "roi_heads.box_predictor.cls_score."
BOX_OFFSETS = "roi_heads.box_predictor.bbox_pred."
MASK_LOGITS = "roi_heads.mask_head.predictor.mask_fcn_logits."

Sources = Mapping[str, Sequence[str]]


def sources_by_name(labels: Sequence[str], start_labels: Sequence[str]) -> dict[str, list[str]]:
    """Label -> the label of the start weights that has its name, but for its case and spaces around it."""
    start_label = dict(zip(in_spelling_of(labels, start_labels), start_labels, strict=True))
    return {label: [start_label[label]] if label in start_label else [] for label in labels}


def spelled_as(labels: Sequence[str], start: Checkpoint) -> Checkpoint:
    """The weights with their labels in the spelling of these, as everything after them compares names exactly."""
    return replace(start, labels=in_spelling_of(labels, start.labels))


def start_network(start: Checkpoint, labels: Sequence[str], sources: Sources, **settings: Any) -> RCNN:
    """The network of `start` for `labels`, with these settings of ModelConfig changed.

    A label with sources begins with the mean of their rows in the predictors. One without begins with the mean
    over all labels where boxes and masks are concerned, which know what an object looks like; its class scores
    begin at random, as the original's do, until `first_scores.py` fits them. Background keeps its row.
    """
    return create_model(start.model, with_predictors(start, labels, sources), **settings)


def with_predictors(start: Checkpoint, labels: Sequence[str], sources: Sources) -> Checkpoint:
    """The same weights with predictors for other labels."""
    rows = [[start.labels.index(name) for name in sources.get(label, ())] for label in labels]
    state = dict(start.state)
    for part in ("weight", "bias"):
        state[CLASS_SCORES + part] = _class_scores(state[CLASS_SCORES + part], rows)
        offsets = state[BOX_OFFSETS + part]
        per_class = offsets.view(len(start.labels), 4, *offsets.shape[1:])
        state[BOX_OFFSETS + part] = _means(per_class, rows).flatten(0, 1)
        if start.has_masks:
            state[MASK_LOGITS + part] = _means(state[MASK_LOGITS + part], rows)
    return replace(start, state=state, labels=tuple(labels))


def _means(old: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
    """(old classes, ...) -> (new classes, ...): the mean of each one's rows, of all rows where it has none."""
    return torch.stack([old[list(chosen)].mean(0) if chosen else old.mean(0) for chosen in rows])


def _class_scores(old: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
    """Likewise for class scores, whose last row is background's; a class without rows starts at random."""
    fresh = torch.randn(len(rows), *old.shape[1:], generator=torch.Generator().manual_seed(0)) * 0.01
    if old.ndim == 1:
        fresh = torch.zeros(len(rows))
    new = [old[list(chosen)].mean(0) if chosen else fresh[i] for i, chosen in enumerate(rows)]
    return torch.stack([*new, old[-1]])
