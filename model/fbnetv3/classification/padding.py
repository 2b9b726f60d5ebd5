"""Widths that a CPU likes: channels of zeros that change nothing but let ONNX Runtime use its fast kernels.

The search that found the network gave it widths such as 131 or 57. ONNX Runtime lays channels out in blocks of 8,
and runs a convolution whose width is no multiple of that at half the speed (docs/classify.md).
"""

from __future__ import annotations

import torch
from torch import nn

BLOCK = 8
#: Red, green and blue stay three.
IMAGE_CHANNELS = 3


def pad_widths(network: nn.Module) -> None:
    """Give every convolution multiples of 8 as its widths, in place; norms must be folded into them already.

    An added channel is zero everywhere: its weights and bias are, and so is every activation of zero.
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, _padded(child))


def _padded(convolution: nn.Conv2d) -> nn.Conv2d:
    inputs, outputs = _multiple(convolution.in_channels), _multiple(convolution.out_channels)
    padded = nn.Conv2d(
        inputs,
        outputs,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        groups=inputs if convolution.groups > 1 else 1,
    )
    rows, columns = convolution.weight.shape[:2]
    assert padded.bias is not None and convolution.bias is not None
    with torch.no_grad():
        padded.weight.zero_()[:rows, :columns] = convolution.weight
        padded.bias.zero_()[:rows] = convolution.bias
    return padded


def _multiple(width: int) -> int:
    return width if width == IMAGE_CHANNELS else -(-width // BLOCK) * BLOCK
