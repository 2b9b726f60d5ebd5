"""The image classifier `dmasking_l3` (FBNetV2-L3, arXiv 2004.05565), with mobile_cv's parameter names.

Facts: mobile_cv at b95ef336 (January 2020), the state that published its weights. It looks at 288 x 288 pixels, has
9.5 million parameters and takes 0.78 G multiply-adds.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from fbnetv3.architectures import DMASKING_L3, Block, Stage
from fbnetv3.config import Norm
from fbnetv3.network.blocks import CLASSIFICATION, ConvNorm, InvertedResidual

#: mobile_cv's default; epsilon is 1e-5.
NORM: Norm = "BN"
NUM_CLASSES = 1000


class PooledResidual(nn.Module):
    """1x1 expansion `pw` -> mean over the area -> 1x1 convolution `pwl` with activation, without norm."""

    def __init__(self, in_channels: int, block: Block) -> None:
        super().__init__()
        width = CLASSIFICATION.width(in_channels * block.expansion)
        self.pw = ConvNorm(in_channels, width, bias=True, norm=NORM, activation=block.activation)
        self.pwl = ConvNorm(width, block.channels, bias=True, activation=block.activation)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.pwl(self.pw(x).mean((2, 3), keepdim=True))
        return features


class ClassifierNetwork(nn.Module):
    """Images (N, 3, 288, 288), normalised -> one logit per class (N, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"stages": build_stages(DMASKING_L3)})
        self.head = nn.ModuleDict({"conv": nn.Conv2d(DMASKING_L3[-1][-1].channels, NUM_CLASSES, 1)})

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head["conv"](self.backbone["stages"](images)).flatten(1)
        return logits


def build_stages(stages: tuple[Stage, ...], in_channels: int = 3) -> nn.Sequential:
    """All blocks in a row, named `xif{stage}_{number}` as in mobile_cv."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for index, rows in enumerate(stages):
        number = 0
        for row in rows:
            for repeat in range(row.repeats):
                blocks[f"xif{index}_{number}"] = _block(row, in_channels, row.stride if repeat == 0 else 1)
                in_channels = row.channels
                number += 1
    return nn.Sequential(blocks)


def _block(row: Block, in_channels: int, stride: int) -> nn.Module:
    if row.op == "ir":
        return InvertedResidual(in_channels, row, stride, NORM, CLASSIFICATION)
    if row.op == "pool":
        return PooledResidual(in_channels, row)
    if row.op == "conv":
        return ConvNorm(
            in_channels, row.channels, row.kernel, stride, bias=True, norm=NORM, activation=row.activation
        )
    if in_channels == row.channels:
        return nn.Identity()
    return nn.Sequential(
        OrderedDict(conv=ConvNorm(in_channels, row.channels, norm=NORM, activation=row.activation))
    )
