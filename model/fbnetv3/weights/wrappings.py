"""What trainers put around a network's tensors: other entries of the file, and parts of the names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

# Where trainers keep the network: d2go, Lightning, PyTorch's tutorial, DeepSpeed and averaged copies.
_NETWORK = ("model", "state_dict", "model_state_dict", "module")
# Where they keep its moving average: d2go, Lightning and its kin, others.
AVERAGES = ("ema_state", "model_ema", "ema", "state_dict_ema")
# What wrappers add to names: Lightning, DDP, torch.compile, FSDP, activation checkpointing. No layer is called so.
_WRAPPERS = {"model", "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


class Named(NamedTuple):
    """The tensors of a network and of its moving average by their plain names; `average_key` is "" without one."""

    network: dict[str, Tensor]
    average: dict[str, Tensor]
    average_key: str


def unwrapped(content: Any) -> Named:
    """The tensors in a checkpoint that was read. Raises ValueError where two different ones have one name."""
    if not isinstance(content, Mapping):
        return Named({}, {}, "")
    network = _named_tensors({key: value for key, value in content.items() if key not in AVERAGES})
    for key in AVERAGES:
        average = _named_tensors(content.get(key))
        if average and (not network or average.keys() & network.keys()):
            return Named(network, average, key)
    return Named(network, {}, "")


def _named_tensors(content: Any) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, value in _network_entry(content).items():
        if not isinstance(value, Tensor):
            continue
        plain = ".".join(part for part in str(name).split(".") if part not in _WRAPPERS)
        if plain in tensors and not _equal(tensors[plain], value):
            raise ValueError(
                f"holds two different tensors called {plain}: save the network that is wanted alone"
            )
        tensors[plain] = value
    return tensors


def _network_entry(content: Any) -> Mapping[Any, Any]:
    """The innermost mapping that holds the network."""
    if not isinstance(content, Mapping):
        return {}
    inner = next((content[key] for key in _NETWORK if isinstance(content.get(key), Mapping)), None)
    return content if inner is None else _network_entry(inner)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
