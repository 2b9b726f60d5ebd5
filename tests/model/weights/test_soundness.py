"""Weights that cannot be right are refused when they are read: values that are no numbers, parts that disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from weights_samples import MASKS, PREDICTOR, STEM, small_checkpoint

from fbnetv3.weights import Checkpoint, WeightsError, load_checkpoint, write_checkpoint
from fbnetv3.weights.soundness import check_sound

PATH = Path("mine.pth")
BBOX, MASK_LOGITS = f"{PREDICTOR}.bbox_pred.weight", f"{MASKS}.predictor.mask_fcn_logits.weight"


def changed(state: dict[str, Tensor], masks: bool = False) -> Checkpoint:
    checkpoint = small_checkpoint(masks=masks)
    return replace(checkpoint, state={**checkpoint.state, **state})


def test_sound_weights_pass() -> None:
    for masks in (False, True):
        check_sound(changed({BBOX: torch.zeros(12, 160)}, masks), PATH)
    check_sound(changed({"backbone.none": torch.zeros(0)}), PATH)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [f"{STEM}.conv.weight", f"{STEM}.bn.running_mean"])
def test_the_tensor_with_a_value_that_is_no_number_is_named(name: str, value: float) -> None:
    tensor = small_checkpoint().state[name].clone()
    tensor.view(-1)[-1] = value
    with pytest.raises(
        WeightsError, match=rf"^mine\.pth holds NaN, infinity .* in {name}: .* earlier checkpoint"
    ):
        check_sound(changed({name: tensor}), PATH)


def test_of_several_the_first_is_named_and_the_others_counted() -> None:
    bad = torch.full((2,), torch.nan)
    with pytest.raises(WeightsError, match=r"in backbone\.a and in 2 more tensors"):
        check_sound(changed({f"backbone.{name}": bad for name in "abc"}), PATH)


def test_a_variance_is_not_negative() -> None:
    with pytest.raises(WeightsError, match=r"negative variance in .*running_var"):
        check_sound(changed({f"{STEM}.bn.running_var": torch.tensor([1.0, -0.1])}), PATH)


def test_a_counter_may_have_overflowed() -> None:
    """Half precision ends at 65,504 steps, and nothing reads the count."""
    check_sound(changed({f"{STEM}.bn.num_batches_tracked": torch.tensor(float("inf"))}), PATH)


@pytest.mark.parametrize(
    ("state", "masks", "found"),
    [
        ({BBOX: torch.zeros(20, 160)}, False, "cls_score has 3, bbox_pred has 5$"),
        ({BBOX: torch.zeros(4, 160)}, False, "cls_score has 3, bbox_pred has 1$"),
        ({BBOX: torch.zeros(10, 160)}, False, "bbox_pred has 2.5$"),
        ({MASK_LOGITS: torch.zeros(1, 64, 1, 1)}, True, "cls_score has 3, mask_fcn_logits has 1$"),
        (
            {f"{PREDICTOR}.cls_score.weight": torch.zeros(6, 160)},
            True,
            "cls_score has 5, mask_fcn_logits has 3",
        ),
    ],
)
def test_parts_for_other_classes_contradict(state: dict[str, Tensor], masks: bool, found: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"^mine\.pth contradicts itself about the number of classes: .*{found}"
    ):
        check_sound(changed(state, masks), PATH)


def test_labels_of_another_number_contradict(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_checkpoint(replace(small_checkpoint(), labels=("bolt", "nut")), path)
    with pytest.raises(WeightsError, match=r"cls_score has 3, the list of labels has 2$"):
        load_checkpoint(path)


@pytest.mark.parametrize(("masks", "has"), [(True, "a"), (False, "no")])
def test_a_mask_head_belongs_to_a_mask_network(masks: bool, has: str) -> None:
    other = small_checkpoint(masks=not masks).model
    with pytest.raises(WeightsError, match=f"it is for {other}, and it has {has} mask head"):
        check_sound(replace(small_checkpoint(masks=masks), model=other), PATH)


def test_there_is_a_class_to_find() -> None:
    state = {f"{PREDICTOR}.cls_score.weight": torch.zeros(1, 160)}
    with pytest.raises(WeightsError, match=r"no network can be built from mine\.pth: num_classes"):
        check_sound(replace(changed(state), labels=()), PATH)


@pytest.mark.parametrize(
    ("model", "settings", "complaint"),
    [
        ("faster_rcnn_yolo", {}, "there is no model 'faster_rcnn_yolo'"),
        ("faster_rcnn_fbnetv3a_C4", {"depth": 3}, "there is no setting 'depth'"),
        ("faster_rcnn_fbnetv3a_C4", {"name": 3, "cls": 3}, "there is no setting 'name'.*'cls'"),
        ("faster_rcnn_fbnetv3a_C4", {"min_size": -1}, "min_size"),
        ("faster_rcnn_fbnetv3a_C4", {"frozen_stages": 5}, "frozen_stages"),
    ],
)
def test_a_header_of_no_network(model: str, settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(WeightsError, match=rf"no network can be built from mine\.pth: .*{complaint}"):
        check_sound(replace(small_checkpoint(), model=model, settings=settings), PATH)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # files of them stay around
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(2, 2).to_sparse(),
        lambda: torch.zeros(2, device="meta"),
        lambda: torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "meta", "quantised"],
)
def test_tensors_without_plain_values_are_refused(make: Callable[[], Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"keeps backbone\.x sparse, quantised or without values"):
        check_sound(changed({"backbone.x": make()}), PATH)
