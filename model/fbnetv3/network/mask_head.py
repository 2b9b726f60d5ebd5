"""Second stage, masks: a small mask per region and class, and its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.architectures import Architecture
from fbnetv3.config import ModelConfig
from fbnetv3.network.blocks import build_stage


class MaskHead(nn.Module):
    """Blocks and a 1x1 convolution: (r, C, side, side) -> logits (r, classes, 2 side, 2 side)."""

    def __init__(self, architecture: Architecture, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.feature_extractor = nn.Sequential(build_stage(architecture.mask_head, channels, config.norm))
        logits = nn.Conv2d(architecture.mask_head[-1].channels, config.num_classes, 1)
        nn.init.kaiming_normal_(logits.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(logits.bias)  # type: ignore[arg-type]
        self.predictor = nn.ModuleDict({"mask_fcn_logits": logits})

    def forward(self, regions: Tensor) -> Tensor:
        logits: Tensor = self.predictor["mask_fcn_logits"](self.feature_extractor(regions))
        return logits


def mask_loss(logits: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
    """Mean binary cross entropy over the pixels of the true class's channel.

    logits (r, classes, s, s); classes (r,); wanted (r, s, s) bool. 0 where there are no regions.
    """
    if len(classes) == 0:
        return logits.sum() * 0
    chosen = channel_of_class(logits, classes)
    return F.binary_cross_entropy_with_logits(chosen, wanted.to(chosen.dtype))


def channel_of_class(logits: Tensor, classes: Tensor) -> Tensor:
    """The mask of each region's own class: (r, classes, s, s) and (r,) -> (r, s, s)."""
    return logits[torch.arange(len(classes), device=logits.device), classes]
