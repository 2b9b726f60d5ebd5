"""Norms folded into the convolutions before them: less to compute, the same result."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import fuse_conv_bn_weights

from fbnetv3.network.backbone import PyramidConv
from fbnetv3.network.blocks import ConvNorm
from fbnetv3.network.norms import FrozenBatchNorm2d

Network = TypeVar("Network", bound=nn.Module)


def folded(model: Network) -> Network:
    """A copy, for evaluation on the CPU, in which every norm with fixed statistics is part of its convolution.

    Group norm takes its statistics from the image and stays.
    """
    model = copy.deepcopy(model).eval().cpu()
    for module in list(model.modules()):
        if isinstance(module, ConvNorm) and is_fixed(getattr(module, "bn", None)):
            _fold(module.conv, module.bn)
            del module.bn
        elif isinstance(module, PyramidConv) and is_fixed(module.norm):
            _fold(module, module.norm)
            module.norm = nn.Identity()
    return model


def is_fixed(norm: Any) -> bool:
    """Whether a layer is a norm that is linear in its input when it does not train."""
    return isinstance(norm, _BatchNorm | FrozenBatchNorm2d)


def _fold(convolution: Any, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
