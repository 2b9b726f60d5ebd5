"""Reads and writes d2go's checkpoints (.pth, .ckpt), without d2go and without running code from them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fbnetv3.weights.checkpoint import (
    CLASS_SCORES,
    COUNTER,
    MASK_HEAD,
    RUNNING_STATISTICS,
    Checkpoint,
    WeightsError,
)
from fbnetv3.weights.pickles import read_pickle
from fbnetv3.weights.safetensors_file import write_atomically
from fbnetv3.weights.wrappings import AVERAGES, Named, unwrapped

# The width of the box head's output tells the three networks apart.
_NETWORK_BY_WIDTH = {160: "fbnetv3a_dsmask_C4", 200: "fbnetv3a_C4", 288: "fbnetv3g_fpn"}
_BACKBONE, _BLOCK = "backbone.", ".fbnetv2_"
_PARTS = (_BACKBONE, "proposal_generator.rpn_head.", "roi_heads.")
_STATISTICS = (*RUNNING_STATISTICS, COUNTER)
# Of a checkpoint's provenance: which averaged weights its file holds.
AVERAGED = "averaged weights"
_FOREIGN = "{path} holds no Faster R-CNN or Mask R-CNN on FBNetV3 with d2go's parameter names"
NO_AVERAGE = f"{{path}} holds no averaged weights ({', '.join(AVERAGES)}): leave out --ema"

# The 80 object classes of COCO 2017 in the order of their contiguous indices.
COCO_LABELS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


def read_d2go(path: Path, ema: bool = False) -> Checkpoint:
    """Read a checkpoint of one of the six configurations, as d2go, Lightning or a plain `torch.save` left it.

    `ema`: the moving average of the weights in place of the weights. Labels are COCO's for 80 classes, else
    `class 0` and so on. Raises WeightsError for any other file, also for one whose pickle holds more than
    tensors, plain containers and NumPy values: unpickling that would run its code.
    """
    named = _named(path)
    if not ema and named.average_key and not _network_state(named.network):
        raise WeightsError(f"{path} holds averaged weights alone ({named.average_key}): import it with --ema")
    checkpoint = checkpoint_from_state(_network_state(_averaged(named, path) if ema else named.network), path)
    if not named.average_key:
        return checkpoint
    note = f"taken from {named.average_key}" if ema else f"{named.average_key}, not taken: --ema imports them"
    return replace(checkpoint, provenance={AVERAGED: note})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a PyTorch checkpoint, without what wrappers such as DDP added to their names.

    Raises WeightsError for a file that cannot be read or whose pickle holds more than tensors and containers.
    """
    return _named(path).network


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
    if not any(name.startswith(_BACKBONE) and _BLOCK in name for name in state):
        raise WeightsError(_FOREIGN.format(path=path))
    if CLASS_SCORES not in state:
        raise WeightsError(f"{path} lacks {CLASS_SCORES}, which tells its network and number of classes")
    scores = state[CLASS_SCORES]
    network = _NETWORK_BY_WIDTH.get(scores.shape[1]) if scores.ndim == 2 else None
    if network is None:
        raise WeightsError(_FOREIGN.format(path=path))
    family = "mask" if any(name.startswith(MASK_HEAD) for name in state) else "faster"
    return Checkpoint(state, f"{family}_rcnn_{network}", default_labels(len(scores) - 1))


def default_labels(num_classes: int) -> tuple[str, ...]:
    """COCO's names for 80 classes, otherwise `class 0`, `class 1`, ..."""
    if num_classes == len(COCO_LABELS):
        return COCO_LABELS
    return tuple(f"class {index}" for index in range(num_classes))


def _named(path: Path) -> Named:
    content = read_pickle(path)
    try:
        return unwrapped(content)
    except ValueError as error:
        raise WeightsError(f"{path} {error}") from error


def _averaged(named: Named, path: Path) -> dict[str, Tensor]:
    """The moving average; the norms' statistics, which some trainers do not average, are then the network's."""
    if not named.average_key:
        raise WeightsError(NO_AVERAGE.format(path=path))
    statistics = {name: tensor for name, tensor in named.network.items() if name.endswith(_STATISTICS)}
    return statistics | named.average


def _network_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors as float32, without what older files add (pixel_mean, cell_anchors)."""
    return {
        name: tensor.detach().float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name.startswith(_PARTS)
    }
