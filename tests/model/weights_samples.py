"""Small checkpoints that have everything a network's weights are recognised by."""

from __future__ import annotations

import torch
from torch import Tensor

from fbnetv3.weights import Checkpoint

STEM = "backbone.body.trunk0.fbnetv2_0_0"
PREDICTOR = "roi_heads.box_predictor"
MASKS = "roi_heads.mask_head"


def small_state(classes: int = 3, width: int = 160, masks: bool = False) -> dict[str, Tensor]:
    """A stem, the box predictor and, if asked for, the mask predictor; always the same values."""
    generator = torch.Generator().manual_seed(classes)
    state = {
        f"{STEM}.conv.weight": torch.randn(16, 3, 3, 3, generator=generator),
        f"{STEM}.bn.running_mean": torch.randn(16, generator=generator),
        f"{STEM}.bn.num_batches_tracked": torch.tensor(7),
        f"{PREDICTOR}.cls_score.weight": torch.randn(classes + 1, width, generator=generator),
    }
    if masks:
        weight = torch.randn(classes, 64, 1, 1, generator=generator)
        state[f"{MASKS}.predictor.mask_fcn_logits.weight"] = weight
    return state


def small_checkpoint(labels: tuple[str, ...] = ("bolt", "nut", "gear"), masks: bool = False) -> Checkpoint:
    family = "mask" if masks else "faster"
    return Checkpoint(
        small_state(len(labels), masks=masks),
        f"{family}_rcnn_fbnetv3a_dsmask_C4",
        labels,
        settings={"min_size": 224, "anchor_ratios": [0.5, 1.0]},
        provenance={"source": "a test"},
    )
