"""New labels' class scores from the mean features of their first objects (imprinting, arXiv 1712.07136)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fbnetv3.finetuning.parts import backbone_output
from fbnetv3.finetuning.viewed import ViewedExamples
from fbnetv3.network.rcnn import RCNN

ENOUGH_OBJECTS = 20
"""Of a label: a mean over more hardly moves."""

PROPOSALS = 20
"""Of an image: what looks most like an object, and is mostly background."""

MARGIN = 2.0
"""By how much a new label's logit exceeds background's for its mean object, and is below it for the mean proposal."""


@torch.no_grad()
def imprint(model: RCNN, examples: ViewedExamples, classes: Sequence[int]) -> None:
    """Let these classes' scores tell their own objects from proposals at large, before anything is trained.

    Looks at examples in order, as they are served, until each class has enough objects. A class without any stays
    as it is.
    """
    objects: dict[int, list[Tensor]] = {index: [] for index in classes}
    background: list[Tensor] = []
    model.eval()
    for index in range(len(examples)):
        if all(len(found) >= ENOUGH_OBJECTS for found in objects.values()):
            break
        _collect(model, examples, index, objects, background)
    for index, found in objects.items():
        if found:
            mean_object = torch.stack(found[:ENOUGH_OBJECTS]).mean(0)
            _set_scores(model, index, mean_object, torch.cat(background).mean(0))


def _collect(
    model: RCNN,
    examples: ViewedExamples,
    index: int,
    objects: dict[int, list[Tensor]],
    background: list[Tensor],
) -> None:
    device = model.pixel_mean.device
    view = examples.view(index, 0)
    features = backbone_output(model, {name: value.to(device) for name, value in view.features.items()})
    [proposals], _ = model.proposal_generator(features, [view.size])
    background.append(_vectors(model, features, proposals.boxes[:PROPOSALS]))
    vectors = _vectors(model, features, view.target.boxes.to(device))
    for class_, vector in zip(view.target.classes.tolist(), vectors, strict=True):
        if class_ in objects:
            objects[class_].append(vector)


def _vectors(model: RCNN, features: dict[str, Tensor], boxes: Tensor) -> Tensor:
    """What the box predictor reads of boxes (r, 4): (r, channels)."""
    vectors: Tensor = model.roi_heads.box_head(model.pool_for_boxes(features, [boxes]))
    return vectors


def _set_scores(model: RCNN, index: int, mean_object: Tensor, mean_proposal: Tensor) -> None:
    """Background's scores plus a linear function that is MARGIN at one mean and -MARGIN at the other."""
    scores = model.roi_heads.box_predictor.cls_score
    direction = mean_object - mean_proposal
    slope = 2 * MARGIN * direction / direction.square().sum().clamp(min=1e-12)
    scores.weight[index] = scores.weight[-1] + slope
    scores.bias[index] = scores.bias[-1] - slope @ (mean_object + mean_proposal) / 2
