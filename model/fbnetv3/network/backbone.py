"""The trunk, alone (C4) or with a feature pyramid (FPN): images in, feature maps with their strides out."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.architectures import Architecture
from fbnetv3.config import Norm
from fbnetv3.network.blocks import build_stage
from fbnetv3.network.norms import build_norm

RGB_CHANNELS = 3


class Level(NamedTuple):
    """One feature map that the heads read."""

    name: str
    stride: int


class Trunk(nn.Module):
    """FBNetV3's stages; stage i halves the size."""

    def __init__(self, architecture: Architecture, norm: Norm) -> None:
        super().__init__()
        channels = RGB_CHANNELS
        for index, rows in enumerate(architecture.trunk):
            self.add_module(f"trunk{index}", build_stage(rows, channels, norm, index))
            channels = rows[-1].channels

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(N, 3, H, W) -> every stage's output: {"trunk0": (N, C0, H/2, W/2), "trunk1": ...}.

        In place of images, outputs of the first stages, which are then not computed: the last of them at least.
        """
        features: dict[str, Tensor] = {} if isinstance(x, Tensor) else dict(x)
        stages = list(self.named_children())
        first = 1 + max((i for i, (name, _) in enumerate(stages) if name in features), default=-1)
        last = x if isinstance(x, Tensor) else features[stages[first - 1][0]]
        for name, stage in stages[first:]:
            features[name] = last = stage(last)
        return features


class C4Backbone(nn.Module):
    """The trunk; RPN and heads all read its last stage, stride 16."""

    #: Inputs need no padding to a multiple of anything.
    size_divisibility = 1

    def __init__(self, architecture: Architecture, norm: Norm) -> None:
        super().__init__()
        self.body = Trunk(architecture, norm)
        last = len(architecture.trunk) - 1
        self.channels = architecture.trunk[-1][-1].channels
        self.rpn_levels = self.roi_levels = (Level(f"trunk{last}", 2 ** (last + 1)),)

    @property
    def trunk(self) -> Trunk:
        """The stages, first to last."""
        return self.body

    def stages_read(self, count: int) -> tuple[str, ...]:
        """Of the first `count` stages, those whose outputs the rest of the network reads."""
        return (f"trunk{count - 1}",)

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Images, or outputs of the first stages (see Trunk)."""
        features: dict[str, Tensor] = self.body(x)
        return features


class FPNBackbone(nn.Module):
    """A feature pyramid (arXiv 1612.03144) p2..p6 on trunk1..trunk4; RPN reads p2..p6, the heads p3..p6."""

    size_divisibility = 32

    def __init__(self, architecture: Architecture, norm: Norm) -> None:
        super().__init__()
        assert architecture.pyramid_channels is not None
        self.channels = channels = architecture.pyramid_channels
        self.bottom_up = Trunk(architecture, norm)
        for index, rows in enumerate(architecture.trunk[1:], start=2):
            self.add_module(f"fpn_lateral{index}", PyramidConv(rows[-1].channels, channels, 1, norm))
            self.add_module(f"fpn_output{index}", PyramidConv(channels, channels, 3, norm))
        self.rpn_levels = tuple(Level(f"p{index}", 2**index) for index in range(2, 7))
        self.roi_levels = self.rpn_levels[1:]

    @property
    def trunk(self) -> Trunk:
        """The stages, first to last."""
        return self.bottom_up

    def stages_read(self, count: int) -> tuple[str, ...]:
        """Of the first `count` stages, those whose outputs the rest of the network reads."""
        return tuple(f"trunk{index}" for index in range(min(1, count - 1), count))

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Images, or outputs of the first stages (see Trunk)."""
        stages = self.bottom_up(x)
        features: dict[str, Tensor] = {}
        top_down: Tensor | None = None
        for index in range(5, 1, -1):
            lateral = self.get_submodule(f"fpn_lateral{index}")(stages[f"trunk{index - 1}"])
            if top_down is not None:
                lateral = lateral + F.interpolate(top_down, scale_factor=2.0, mode="nearest")
            top_down = lateral
            features[f"p{index}"] = self.get_submodule(f"fpn_output{index}")(lateral)
        features["p6"] = F.max_pool2d(features["p5"], kernel_size=1, stride=2)
        return features


class PyramidConv(nn.Conv2d):
    """Convolution with its norm below it (`norm`), as detectron2 names them."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, norm: Norm) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        nn.init.kaiming_uniform_(self.weight, a=1)
        self.norm = build_norm(norm, out_channels)

    def forward(self, input: Tensor) -> Tensor:
        features: Tensor = self.norm(super().forward(input))
        return features


Backbone = C4Backbone | FPNBackbone


def build_backbone(architecture: Architecture, norm: Norm) -> Backbone:
    """The backbone that the architecture asks for."""
    kind = C4Backbone if architecture.pyramid_channels is None else FPNBackbone
    return kind(architecture, norm)
