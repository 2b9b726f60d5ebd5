"""Reads and writes d2go's checkpoints (.pth, .ckpt), without d2go and without running code from them."""

from __future__ import annotations

import io
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fbnetv3.weights.checkpoint import CLASS_SCORES, MASK_HEAD, Checkpoint, WeightsError
from fbnetv3.weights.labels import default_labels
from fbnetv3.weights.safetensors_file import write_atomically

# The width of the box head's output tells the three networks apart.
_NETWORK_BY_WIDTH = {160: "fbnetv3a_dsmask_C4", 200: "fbnetv3a_C4", 288: "fbnetv3g_fpn"}
_STEM = ".trunk0.fbnetv2_0_0.conv.weight"
_PARTS = ("backbone.", "proposal_generator.rpn_head.", "roi_heads.")
# What Lightning (`model.`) and distributed training (`module.`) put before every name.
_WRAPPERS = re.compile(r"^(?:model\.|module\.)+")
# What torch.load was seen to raise for files that are cut off, altered or something else altogether.
_UNREADABLE = (
    pickle.UnpicklingError, struct.error, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError,
    AttributeError, AssertionError, MemoryError,
)  # fmt: skip


def read_d2go(path: Path) -> Checkpoint:
    """Read `{"model": ...}`, `{"state_dict": ...}` or a bare state dict of one of the six configurations.

    Labels are COCO's for 80 classes, else `class 0` and so on. Raises WeightsError for any other file, also
    for one whose pickle holds more than tensors and plain containers: unpickling that would run its code.
    """
    return checkpoint_from_state(_network_state(read_tensors(path)), path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a PyTorch checkpoint, without `model.` and `module.` before their names.

    Raises WeightsError for a file that cannot be read or whose pickle holds more than tensors and containers.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(f"{path} {_why_unreadable(error)}") from error
    named = {_WRAPPERS.sub("", str(name)): value for name, value in _state_dict(content).items()}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def write_d2go(checkpoint: Checkpoint, path: Path, iteration: int = 0) -> None:
    """Write `{"model": tensors by d2go's names, "iteration"}`, as d2go's own trainer does.

    There is no room for labels and settings in it: who loads it sets them. Raises WeightsError.
    """
    content = io.BytesIO()
    torch.save({"model": dict(checkpoint.state), "iteration": iteration}, content)
    write_atomically(path, content.getvalue())


def checkpoint_from_state(state: dict[str, Tensor], path: Path) -> Checkpoint:
    """A checkpoint of what `path` held, its configuration and number of classes told from names and shapes.

    Raises WeightsError when it is none of the six configurations.
    """
    if any(name.startswith("roi_heads.keypoint_head.") for name in state):
        raise WeightsError(f"{path} is a keypoint network; only Faster R-CNN and Mask R-CNN are supported")
    scores = state.get(CLASS_SCORES)
    network = _NETWORK_BY_WIDTH.get(scores.shape[1]) if scores is not None and scores.ndim == 2 else None
    if scores is None or network is None or not any(name.endswith(_STEM) for name in state):
        raise WeightsError(
            f"{path} holds no Faster R-CNN or Mask R-CNN on FBNetV3 with d2go's parameter names"
        )
    family = "mask" if any(name.startswith(MASK_HEAD) for name in state) else "faster"
    return Checkpoint(state, f"{family}_rcnn_{network}", default_labels(len(scores) - 1))


def _network_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors as float32, without what older files add (pixel_mean, cell_anchors)."""
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name.startswith(_PARTS)
    }


def _state_dict(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        return {}
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            return content[key]
    return content


def _why_unreadable(error: Exception) -> str:
    if forbidden := re.search(r"GLOBAL (\S+)", str(error)):
        return f"asks for {forbidden[1]} and is not read: it could run code, where only tensors are expected"
    return "is damaged or is no PyTorch checkpoint"
