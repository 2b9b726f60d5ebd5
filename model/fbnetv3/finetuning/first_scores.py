"""The class scores that training starts from, fitted to the labelled images before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fbnetv3.arrays import Array
from fbnetv3.class_scores import BACKGROUND, FOREGROUND, NEW_LABEL, fit_class_scores
from fbnetv3.engines.engine import ClassScores
from fbnetv3.finetuning.parts import backbone_output
from fbnetv3.finetuning.viewed import Viewed, ViewedExamples
from fbnetv3.network.boxes import match
from fbnetv3.network.rcnn import RCNN


@torch.no_grad()
def set_first_scores(model: RCNN, examples: ViewedExamples, new: Sequence[int]) -> None:
    """Fit the layer of class scores to the first view of each example; `new`: classes of which nothing is known."""
    model.eval()
    layer = model.roi_heads.box_predictor.cls_score
    weight, bias = (values.detach().cpu().numpy().copy() for values in (layer.weight.T, layer.bias))
    weight[:, new], bias[new] = weight[:, -1:], bias[-1] - NEW_LABEL
    regions = [_regions(model, examples.view(index, 0)) for index in range(len(examples))]
    vectors, classes = (np.concatenate(parts) for parts in zip(*regions, strict=True))
    fitted = fit_class_scores(vectors, classes, ClassScores(weight, bias))
    layer.weight.copy_(torch.from_numpy(fitted.weight.T))
    layer.bias.copy_(torch.from_numpy(fitted.bias))


def _regions(model: RCNN, view: Viewed) -> tuple[Array, Array]:
    """Vectors (n, d) of the proposals and the objects of a view, and their classes (n,)."""
    device = model.pixel_mean.device
    features = backbone_output(model, {name: value.to(device) for name, value in view.features.items()})
    [proposals], _ = model.proposal_generator(features, [view.size])
    objects = view.target.boxes.to(device)
    boxes = torch.cat([proposals.boxes, objects])
    classes = _classes(boxes, objects, view.target.classes.to(device), model.config.num_classes)
    known = classes >= 0
    vectors = model.region_vectors(features, [boxes[known]])
    return vectors.cpu().numpy(), classes[known].cpu().numpy()


def _classes(boxes: Tensor, objects: Tensor, classes: Tensor, background: int) -> Tensor:
    """(n,) the class of the object that a box is on; -1 where it may or may not be on one."""
    owner, label = match(objects, boxes, BACKGROUND, FOREGROUND)
    elsewhere = torch.where(label == 0, background, -1)
    return torch.where(label == 1, classes[owner], elsewhere) if len(classes) else elsewhere
