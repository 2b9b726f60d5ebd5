"""Cut the features of regions out of the feature maps (aligned RoIAlign, arXiv 1703.06870)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from fbnetv3.network.backbone import Level

#: A region of this size (square root of its area, network pixels) belongs on p4 (arXiv 1612.03144, equation 1).
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4


def pool_regions(
    features: dict[str, Tensor], levels: Sequence[Level], boxes: Sequence[Tensor], side: int
) -> Tensor:
    """One (r_i, 4) tensor of boxes per image -> (sum of r_i, C, side, side), in that order.

    With several levels each region is read from the level that fits its size.
    """
    image_index = torch.cat([box.new_full((len(box), 1), i) for i, box in enumerate(boxes)])
    regions = torch.cat([image_index, torch.cat(list(boxes))], 1)
    if len(levels) == 1:
        return _align(features[levels[0].name], regions, side, levels[0].stride)
    level_of = _levels(regions[:, 1:], len(levels), levels[0].stride.bit_length() - 1)
    first = features[levels[0].name]
    pooled = first.new_zeros(len(regions), first.shape[1], side, side)
    for number, level in enumerate(levels):
        chosen = (level_of == number).nonzero().flatten()
        aligned = _align(features[level.name], regions[chosen], side, level.stride)
        pooled = pooled.index_put((chosen,), aligned)
    return pooled


def _align(features: Tensor, regions: Tensor, side: int, stride: int) -> Tensor:
    regions = regions.to(features.dtype)
    pooled: Tensor = roi_align(features, regions, side, 1 / stride, sampling_ratio=0, aligned=True)
    return pooled


def _levels(boxes: Tensor, count: int, first: int) -> Tensor:
    size = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    level = torch.floor(CANONICAL_LEVEL + torch.log2(size / CANONICAL_SIZE + 1e-8))
    return level.clamp(first, first + count - 1).long() - first
