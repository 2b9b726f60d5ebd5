"""The parts of the network as they are exported: everything that is arithmetic, for one image of any size.

What to keep (thresholds, how many) is left to the engine, so that it can change without a new export.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.network.box_head import ROI_CODER
from fbnetv3.network.mask_head import MaskHead, channel_of_class
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.rpn import RPN_CODER, flatten_maps


class ImageGraph(nn.Module):
    """Image (3, h, w) -> the feature maps that the heads read, then for every RPN level all boxes and logits.

    Features (1, C, H, W); boxes (a, 4) in pixels of the input, not clipped; logits (a,).
    """

    def __init__(self, model: RCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        model, rpn = self.model, self.model.proposal_generator
        features = model.backbone(model.normalise([image]))
        outputs = [features[level.name] for level in model.backbone.roi_levels]
        for level, anchors in zip(rpn.levels, rpn.anchors(features), strict=True):
            logits, offsets = rpn.rpn_head(features[level.name])
            outputs.append(RPN_CODER.decode(anchors, flatten_maps(offsets, 4)[0]))
            outputs.append(flatten_maps(logits, 1)[0, :, 0])
        return tuple(outputs)


class BoxGraph(nn.Module):
    """Features and boxes (r, 4) -> scores (r, classes), a better box for every class (r, 4 classes), and the vectors
    (r, d) that both are read from.
    """

    def __init__(self, model: RCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors = self.model.region_vectors(_named(self.model, features), [boxes])
        logits, offsets = self.model.roi_heads.box_predictor(vectors)
        return logits.softmax(1)[:, :-1], ROI_CODER.decode(boxes, offsets), vectors


class MaskGraph(nn.Module):
    """Features, boxes (r, 4) and their classes (r,) -> mask probabilities inside the boxes (r, s, s)."""

    def __init__(self, model: RCNN) -> None:
        super().__init__()
        head = model.roi_heads.mask_head
        assert head is not None
        self.model = model
        self.head = OneClassMaskHead(head) if OneClassMaskHead.fits(head) else AllClassesMaskHead(head)

    def forward(self, features: list[Tensor], boxes: Tensor, classes: Tensor) -> Tensor:
        regions = self.model.pool_for_masks(_named(self.model, features), [boxes])
        probabilities: Tensor = self.head(regions, classes).sigmoid()
        return probabilities


class AllClassesMaskHead(nn.Module):
    """The mask head as it is: every class's mask, of which one is kept."""

    def __init__(self, head: MaskHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, regions: Tensor, classes: Tensor) -> Tensor:
        return channel_of_class(self.head(regions), classes)


class OneClassMaskHead(nn.Module):
    """The mask head for one class per region: a quarter fewer multiply-adds, the same logits.

    After the last ReLU everything is linear: nearest-neighbour doubling, a depthwise convolution, a projection
    and the predictor's 1x1 convolution. Doubling only copies, so the rest can be summed over the channels first:
    per region one vector of channel weights for each of the k * k taps, a matrix product at the small size, and
    then the k * k maps are doubled, shifted against each other and added.
    """

    def __init__(self, head: MaskHead) -> None:
        super().__init__()
        *first, last = _blocks(head)
        projection: Any = last.pwl.conv
        predictor: Any = head.predictor["mask_fcn_logits"]
        depthwise: Any = last.dw.conv
        to_class = predictor.weight[:, :, 0, 0]
        channel = to_class @ projection.weight[:, :, 0, 0]
        taps = depthwise.weight[:, 0].flatten(1).T
        side = depthwise.kernel_size[0]
        self.first = nn.Sequential(*first, last.pw)
        self.weights = nn.Buffer(channel[:, None] * taps)
        self.bias = nn.Buffer(to_class @ projection.bias + predictor.bias)
        self.shifts = nn.Buffer(torch.eye(side * side).view(1, side * side, side, side))

    @staticmethod
    def fits(head: MaskHead) -> bool:
        """Whether the last block doubles the size and has nothing that is not linear after its ReLU."""
        last = _blocks(head)[-1]
        return last.upsample and last.pw is not None and last.se is None and not hasattr(last.pwl, "bn")

    def forward(self, regions: Tensor, classes: Tensor) -> Tensor:
        expanded = self.first(regions)
        taps = torch.bmm(self.weights[classes], expanded.flatten(2))
        taps = taps.view(taps.shape[0], taps.shape[1], expanded.shape[2], expanded.shape[3])
        doubled = F.interpolate(taps, scale_factor=2.0, mode="nearest")
        logits = F.conv2d(doubled, self.shifts, padding=self.shifts.shape[-1] // 2)
        return logits[:, 0] + self.bias[classes][:, None, None]


def _blocks(head: MaskHead) -> list[Any]:
    return list(head.feature_extractor[0].children())


def _named(model: RCNN, features: list[Tensor]) -> dict[str, Tensor]:
    return {level.name: tensor for level, tensor in zip(model.backbone.roi_levels, features, strict=True)}
