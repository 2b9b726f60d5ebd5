"""FBNet's building blocks: convolution with norm, squeeze-and-excite, the inverted residual block, stages.

Facts: mobile_cv's `irf_block.py` and `basic_blocks.py` as d2go configures them (depthwise convolution without
norm and activation, ReLU everywhere, no zero-initialised gamma).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.architectures import Block, Stage
from fbnetv3.config import Norm
from fbnetv3.network.norms import build_norm

#: Widths are rounded to a multiple of this (d2go WIDTH_DIVISOR).
WIDTH_DIVISOR = 8
#: Width of the squeeze over the width of the block (mobile_cv se_ratio).
SQUEEZE_RATIO = 0.25


def round_width(width: float) -> int:
    """The multiple of 8 nearest to `width`, halves rounded up, at least 8."""
    return max(int(width / WIDTH_DIVISOR + 0.5), 1) * WIDTH_DIVISOR


class ConvNorm(nn.Sequential):
    """Convolution `conv`, then, where given, norm `bn` and ReLU. Input and output (N, C, H, W)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: Norm | None = None,
        relu: bool = False,
    ) -> None:
        convolution = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias
        )
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=convolution)
        if norm is not None:
            layers["bn"] = build_norm(norm, out_channels)
        if relu:
            layers["relu"] = nn.ReLU()
        super().__init__(layers)


class SqueezeExcite(nn.Module):
    """Channel attention (arXiv 1709.01507): mean over the area -> 1x1 -> ReLU -> 1x1 -> sigmoid -> multiply."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_width(int(channels * SQUEEZE_RATIO))
        excite = nn.Conv2d(squeezed, channels, 1)
        nn.init.kaiming_normal_(excite.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(excite.bias)  # type: ignore[arg-type]
        self.se = nn.Sequential(ConvNorm(channels, squeezed, bias=True, relu=True), excite, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.se(x.mean((2, 3), keepdim=True))


class InvertedResidual(nn.Module):
    """1x1 expansion `pw` -> [nearest x2] -> depthwise `dw` -> [`se`] -> 1x1 projection `pwl` -> [+ input]."""

    def __init__(self, in_channels: int, block: Block, stride: int, norm: Norm) -> None:
        super().__init__()
        width = round_width(in_channels * block.expansion)
        self.pw = ConvNorm(in_channels, width, norm=norm, relu=True) if width != in_channels else None
        self.upsample = stride < 0
        self.dw = ConvNorm(width, width, block.kernel, max(stride, 1), groups=width)
        self.se = SqueezeExcite(width) if block.squeeze_excite else None
        self.pwl = ConvNorm(width, block.channels, norm=norm)
        self.residual = stride == 1 and in_channels == block.channels

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.pw is None else self.pw(x)
        if self.upsample:
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        y = self.dw(y)
        if self.se is not None:
            y = self.se(y)
        y = self.pwl(y)
        return torch.add(x, y) if self.residual else y


def build_stage(rows: Stage, in_channels: int, norm: Norm, index: int = 0) -> nn.Sequential:
    """The blocks of one stage in a row, named `fbnetv2_{index}_{number}` as in d2go."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for row in rows:
        for repeat in range(row.repeats):
            stride = row.stride if repeat == 0 else 1
            blocks[f"fbnetv2_{index}_{len(blocks)}"] = (
                ConvNorm(in_channels, row.channels, row.kernel, stride, bias=True, norm=norm, relu=True)
                if row.op == "conv"
                else InvertedResidual(in_channels, row, stride, norm)
            )
            in_channels = row.channels
    return nn.Sequential(blocks)
