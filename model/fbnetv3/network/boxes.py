"""Geometry of boxes as tensors (n, 4), x0, y0, x1, y1: coding against references, clipping, matching, sampling."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

#: Bound on the coded log of a size ratio: a box grows at most 1000 / 16 times (detectron2 box_regression.py).
MAX_LOG_SCALE = math.log(1000.0 / 16)


class BoxCoder(NamedTuple):
    """Boxes as offsets (dx, dy, dw, dh) from reference boxes, times these weights (arXiv 1311.2524, appendix C)."""

    wx: float
    wy: float
    ww: float
    wh: float

    def encode(self, references: Tensor, boxes: Tensor) -> Tensor:
        """(n, 4) and (n, 4) -> offsets (n, 4)."""
        size, target_size = references[:, 2:] - references[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre, target_centre = references[:, :2] + 0.5 * size, boxes[:, :2] + 0.5 * target_size
        shift = (target_centre - centre) / size
        return torch.cat([shift, torch.log(target_size / size)], 1) * references.new_tensor(self)

    def decode(self, references: Tensor, offsets: Tensor) -> Tensor:
        """References (n, 4) and offsets (n, 4k), k boxes each -> boxes (n, 4k)."""
        offsets = offsets.view(references.shape[0], offsets.shape[1] // 4, 4) / offsets.new_tensor(self)
        references = references.to(offsets.dtype)[:, None]
        size = references[..., 2:] - references[..., :2]
        centre = references[..., :2] + 0.5 * size
        centre = offsets[..., :2] * size + centre
        half = 0.5 * torch.exp(offsets[..., 2:].clamp(max=MAX_LOG_SCALE)) * size
        return torch.cat([centre - half, centre + half], -1).flatten(1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut at the borders of an image of `size` (height, width)."""
    height, width = size
    bounds = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), bounds)


def nonempty(boxes: Tensor) -> Tensor:
    """(n,) bool: has width and height."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def mirror_boxes(boxes: Tensor, width: int) -> Tensor:
    """Boxes with left and right exchanged in an image of this width."""
    mirrored = boxes.clone()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored


class Matches(NamedTuple):
    """For each of n boxes: the true box it overlaps most, and 1 foreground, 0 background, -1 ignored."""

    owner: Tensor
    label: Tensor


def match(truth: Tensor, boxes: Tensor, lower: float, upper: float, low_quality: bool = False) -> Matches:
    """Compare m true boxes with n boxes: foreground from IoU `upper` on, background below `lower`.

    With `low_quality`, the boxes that overlap a true box most (ties included) are foreground too; they keep
    the index of their own best true box (detectron2 matcher.py).
    """
    if len(truth) == 0:
        zeros = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return Matches(zeros, zeros)
    overlap = box_iou(truth, boxes)
    best, index = overlap.max(0)
    label = torch.ones_like(index)
    label[best < upper] = -1
    label[best < lower] = 0
    if low_quality:
        label[(overlap == overlap.max(1, keepdim=True).values).any(0)] = 1
    return Matches(index, label)


def sample(
    positive: Tensor,
    negative: Tensor,
    count: int,
    positive_fraction: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Choose at random `count` of the true entries of two (n,) masks, at most the fraction positive.

    Returns the indices of the chosen positives and negatives; a shortage of positives is filled with negatives.
    """
    positives, negatives = positive.nonzero().flatten(), negative.nonzero().flatten()
    positive_count = min(len(positives), int(count * positive_fraction))
    negative_count = min(len(negatives), count - positive_count)
    chosen = [
        indices[torch.randperm(len(indices), generator=generator, device=indices.device)[:number]]
        for indices, number in ((positives, positive_count), (negatives, negative_count))
    ]
    return chosen[0], chosen[1]
