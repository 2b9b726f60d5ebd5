"""Normalisation layers, selectable by name, all with batch norm's parameter names."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F

from fbnetv3.config import Norm

#: detectron2's GN has 32 groups; FBNet's widths are not multiples of 32, so the greatest common divisor is taken.
GROUPS = 32


class NaiveSyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes of torch.distributed, each with equal weight; plain BN in one process.

    The statistics are the mean over the processes of E[x] and E[x^2] (detectron2 `NaiveSyncBatchNorm`); a
    process with an empty batch (no regions in its images) does not count. Works on every device, with gloo on
    a CPU.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(input)
        size = max(input.numel() // self.num_features, 1)
        own = torch.cat([input.sum((0, 2, 3)), (input * input).sum((0, 2, 3))]) / size
        counts = input.new_tensor([float(input.numel() > 0)])
        shared = all_reduce(torch.cat([own, counts]))
        mean, mean_square = (shared[:-1] / shared[-1].clamp(min=1)).view(2, -1)
        variance = mean_square - mean * mean
        assert self.running_mean is not None and self.running_var is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance, self.momentum or 0.0)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        normed: Tensor = input * scale[:, None, None] + shift[:, None, None]
        return normed


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics and affine parameters are buffers: nothing in it learns."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight: Tensor
        self.bias: Tensor
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features) - eps)
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, input: Tensor) -> Tensor:
        if not input.requires_grad:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return input * scale[:, None, None] + shift[:, None, None]


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(channels, GROUPS), channels)


_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "NaiveSyncBN": NaiveSyncBatchNorm2d,
    "GN": _group_norm,
    "FrozenBN": FrozenBatchNorm2d,
}


def build_norm(norm: Norm, channels: int) -> nn.Module:
    """A normalisation layer for (N, channels, H, W)."""
    return _NORMS[norm](channels)


def freeze(module: nn.Module) -> None:
    """Stop everything below `module` from learning; batch norms become FrozenBatchNorm2d, in place."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d | nn.SyncBatchNorm):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen.to(child.weight.device))
        else:
            freeze(child)
