"""Weights of the classifier as its authors publish them, with values drawn from a seed instead of trained ones."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fbnetv3.network.classifier import ClassifierNetwork


def drawn_state(network: ClassifierNetwork) -> dict[str, Tensor]:
    """Values for every tensor of the network, each from its name alone; signals neither die nor explode."""
    return {name: _drawn(name, tensor) for name, tensor in network.state_dict().items()}


def _drawn(name: str, tensor: Tensor) -> Tensor:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if name.endswith("running_var"):
        values = random.uniform(0.5, 1.5, tensor.shape)
    elif name.endswith("bn.weight"):
        values = random.uniform(0.6, 1.1, tensor.shape)
    elif tensor.ndim == 4:
        values = random.normal(0, (2 / tensor[0].numel()) ** 0.5, tensor.shape)
    else:
        values = random.normal(0, 0.1, tensor.shape)
    return torch.from_numpy(values.astype(np.float32))


def write_published(path: Path, state: dict[str, Tensor], **changes: Any) -> Path:
    """The published container: `{"state_dict": ...}` with `module.` before every name; `changes` replace keys of it."""
    named = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": named, "epoch": 359, **changes}, path)
    return path
