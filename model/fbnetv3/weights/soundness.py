"""Whether a checkpoint can be right at all, as far as its tensors alone show; milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fbnetv3.config import ConfigError, ModelConfig
from fbnetv3.weights.checkpoint import (
    BOX_OFFSETS,
    CLASS_SCORES,
    COUNTER,
    MASK_LOGITS,
    Checkpoint,
    WeightsError,
)

_VARIANCE = ".running_var"


def check_sound(checkpoint: Checkpoint, path: Path) -> None:
    """Raises WeightsError for values that are no numbers, parts that are for other classes, and settings of no network.

    What is missing, or has another shape than its layer, shows only when the network is built (`create_model`).
    """
    for name, tensor in checkpoint.state.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise WeightsError(
                f"{path} keeps {name} sparse, quantised or without values: save it as a plain tensor"
            )
    odd = [name for name, tensor in checkpoint.state.items() if not _usable(name, tensor)]
    if odd:
        more = f" and in {len(odd) - 1} more tensors" if len(odd) > 1 else ""
        raise WeightsError(
            f"{path} holds NaN, infinity or a negative variance in {odd[0]}{more}: its training failed, or its "
            "numbers did not fit into half precision; take an earlier checkpoint, or one in full precision"
        )
    counts = _class_counts(checkpoint)
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{part} has {count:g}" for part, count in counts.items())
        raise WeightsError(f"{path} contradicts itself about the number of classes: {found}")
    if checkpoint.has_masks != checkpoint.model.startswith("mask_"):
        raise WeightsError(
            f"{path} contradicts itself: it is for {checkpoint.model}, "
            f"and it has {'a' if checkpoint.has_masks else 'no'} mask head"
        )
    try:
        ModelConfig.for_model(
            checkpoint.model, **{**checkpoint.settings, "num_classes": len(checkpoint.labels)}
        )
    except ConfigError as error:
        raise WeightsError(f"no network can be built from {path}: {error}") from error


def _usable(name: str, tensor: Tensor) -> bool:
    """Whether these are finite numbers; the norms' counters, which nobody reads, may be anything."""
    if not tensor.is_floating_point() or not tensor.numel() or name.endswith(COUNTER):
        return True
    low, high = torch.aminmax(tensor.detach())
    if name.endswith(_VARIANCE) and low < 0:
        return False
    return bool(low.isfinite() and high.isfinite())


def _class_counts(checkpoint: Checkpoint) -> dict[str, float]:
    """Part -> how many classes it is for; what is not there says nothing, and the labels where others say the same."""
    rows = {name: len(tensor) for name, tensor in checkpoint.state.items() if tensor.ndim}
    counts: dict[str, float] = {}
    if CLASS_SCORES in rows:
        counts["cls_score"] = rows[CLASS_SCORES] - 1
    if BOX_OFFSETS in rows:
        counts["bbox_pred"] = rows[BOX_OFFSETS] / 4
    if MASK_LOGITS in rows:
        counts["mask_fcn_logits"] = rows[MASK_LOGITS]
    if len(checkpoint.labels) not in counts.values():
        counts["the list of labels"] = len(checkpoint.labels)
    return counts
