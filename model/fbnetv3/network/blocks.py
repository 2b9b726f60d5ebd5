"""FBNet's building blocks: convolution with norm, squeeze-and-excite, the inverted residual block, stages.

Facts: mobile_cv's `irf_block.py` and `basic_blocks.py`, in two styles: as d2go configures them for detection, and
as the classifiers of its own model zoo have them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.architectures import Activation, Block, Stage
from fbnetv3.config import Norm
from fbnetv3.network.norms import build_norm

#: Width of the squeeze over the width of the block (mobile_cv se_ratio).
SQUEEZE_RATIO = 0.25
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "hswish": nn.Hardswish}


@dataclass(frozen=True)
class BlockStyle:
    """How a family of networks makes its inverted residual blocks.

    `divisor`: widths are multiples of it. `bias`: convolutions have one beside their norm. `depthwise_norm`: norm
    and activation follow the depthwise convolution too. `gate`: what ends squeeze-and-excite.
    """

    divisor: int
    bias: bool
    depthwise_norm: bool
    gate: type[nn.Module]

    def width(self, width: float) -> int:
        """The multiple of the divisor nearest to `width`, halves rounded up, at least one of it."""
        return max(int(width / self.divisor + 0.5), 1) * self.divisor


#: d2go: WIDTH_DIVISOR, no bias, `dw_skip_bnrelu`.
DETECTION = BlockStyle(divisor=8, bias=False, depthwise_norm=False, gate=nn.Sigmoid)
#: mobile_cv's classifiers: its defaults, and `se_hsig`.
CLASSIFICATION = BlockStyle(divisor=1, bias=True, depthwise_norm=True, gate=nn.Hardsigmoid)


class ConvNorm(nn.Sequential):
    """Convolution `conv`, then, where given, norm `bn` and an activation. Input and output (N, C, H, W)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: Norm | None = None,
        activation: Activation | None = None,
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
        if activation is not None:
            layers["relu"] = ACTIVATIONS[activation]()
        super().__init__(layers)


class SqueezeExcite(nn.Module):
    """Channel attention (arXiv 1709.01507): mean over the area -> 1x1 -> activation -> 1x1 -> gate -> multiply."""

    def __init__(self, channels: int, style: BlockStyle, activation: Activation) -> None:
        super().__init__()
        squeezed = style.width(int(channels * SQUEEZE_RATIO))
        excite = nn.Conv2d(squeezed, channels, 1)
        nn.init.kaiming_normal_(excite.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(excite.bias)  # type: ignore[arg-type]
        squeeze = ConvNorm(channels, squeezed, bias=True, activation=activation)
        self.se = nn.Sequential(squeeze, excite, style.gate())

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.se(x.mean((2, 3), keepdim=True))
        return gated


class InvertedResidual(nn.Module):
    """1x1 expansion `pw` -> [nearest x2] -> depthwise `dw` -> [`se`] -> 1x1 projection `pwl` -> [+ input]."""

    def __init__(
        self, in_channels: int, block: Block, stride: int, norm: Norm, style: BlockStyle = DETECTION
    ) -> None:
        super().__init__()
        width = style.width(in_channels * block.expansion)
        act, bias = block.activation, style.bias
        expand = width != in_channels
        self.pw = ConvNorm(in_channels, width, bias=bias, norm=norm, activation=act) if expand else None
        self.upsample = stride < 0
        self.dw = ConvNorm(
            width,
            width,
            block.kernel,
            max(stride, 1),
            groups=width,
            bias=bias,
            norm=norm if style.depthwise_norm else None,
            activation=act if style.depthwise_norm else None,
        )
        self.se = SqueezeExcite(width, style, act) if block.squeeze_excite else None
        self.pwl = ConvNorm(width, block.channels, bias=bias, norm=norm)
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
                ConvNorm(
                    in_channels, row.channels, row.kernel, stride, bias=True, norm=norm, activation="relu"
                )
                if row.op == "conv"
                else InvertedResidual(in_channels, row, stride, norm)
            )
            in_channels = row.channels
    return nn.Sequential(blocks)
