"""Weights are tried out before they are stored: what cannot be built, or gives no numbers, is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import A_C4, C4, FASTER_C4, FPN, as_checkpoint, small_network
from torch import Tensor

from fbnetv3 import WeightsError
from fbnetv3.trial import try_out
from fbnetv3.weights import Checkpoint, load_checkpoint

CONV = "backbone.body.trunk0.fbnetv2_0_0.conv.weight"
SCORES, OFFSETS = "roi_heads.box_predictor.cls_score.", "roi_heads.box_predictor.bbox_pred."


def changed(changes: dict[str, Tensor | None]) -> Checkpoint:
    checkpoint = as_checkpoint(small_network())
    state = {key: tensor for key, tensor in {**checkpoint.state, **changes}.items() if tensor is not None}
    return replace(checkpoint, state=state)


@pytest.mark.parametrize("name", [C4, A_C4, FASTER_C4, FPN])
def test_whole_networks_pass(name: str) -> None:
    try_out(as_checkpoint(small_network(name)))


def test_shipped_weights_pass() -> None:
    try_out(load_checkpoint("starter"))


def test_counters_may_be_missing_or_half() -> None:
    counters = [key for key in changed({}).state if key.endswith("num_batches_tracked")]
    try_out(changed(dict.fromkeys(counters)))
    try_out(changed({key: torch.tensor(3.0).half() for key in counters}))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({OFFSETS + "weight": None}, f"{OFFSETS}weight is missing$"),
        ({OFFSETS + "weight": None, OFFSETS + "bias": None}, f"{OFFSETS}bias and 1 more are missing$"),
        ({SCORES + "bias": None}, f"{SCORES}bias is missing"),
        (
            {CONV: torch.zeros(8, 3, 3, 3)},
            rf"{CONV} is \(8, 3, 3, 3\) of float32, not \(16, 3, 3, 3\) of float32$",
        ),
        ({CONV: torch.zeros(16, 3, 3, 3, dtype=torch.int8)}, "of int8, not .* of float32$"),
        ({OFFSETS + "weight": torch.zeros(12, 7)}, r"bbox_pred.weight is \(12, 7\) of float32"),
        ({OFFSETS + "bias": torch.zeros(20)}, r"bbox_pred.bias is \(20,\) of float32, not \(12,\)"),
        ({"backbone.observer.scale": torch.zeros(1)}, "backbone.observer.scale is unknown$"),
        (
            {"backbone.a": torch.zeros(1), "backbone.b": torch.zeros(1)},
            "backbone.a is unknown and 1 more do not fit$",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Tensor | None], complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint):
        try_out(changed(changes))


@pytest.mark.parametrize(
    ("prefix", "part"),
    [
        ("backbone.", "backbone"),
        ("proposal_generator.", "RPN"),
        ("roi_heads.box_", "box head"),
        ("roi_heads.mask_head.", "mask head"),
    ],
)
def test_numbers_that_overflow_are_refused(prefix: str, part: str) -> None:
    huge = {
        name: torch.full_like(tensor, 1e20)
        for name, tensor in changed({}).state.items()
        if name.startswith(prefix) and name.endswith((".weight", ".bias"))
    }
    with pytest.raises(WeightsError, match=f"gives no finite numbers: its {part} overflows"):
        try_out(changed(huge))


@pytest.mark.parametrize(
    ("model", "settings", "complaint"),
    [
        ("mask_rcnn_yolo", {}, "there is no model 'mask_rcnn_yolo'"),
        (C4, {"depth": 3}, "there is no setting 'depth'"),
        (C4, {"min_size": -1}, "min_size"),
        (C4, {"anchor_sizes": [[32], [64]]}, "anchor_sizes"),
    ],
)
def test_a_header_that_nothing_can_be_built_from(
    model: str, settings: dict[str, object], complaint: str
) -> None:
    odd = replace(changed({}), model=model, settings=settings)
    with pytest.raises(WeightsError, match=f"no network can be built from these weights: .*{complaint}"):
        try_out(odd)
