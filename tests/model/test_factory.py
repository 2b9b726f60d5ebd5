"""Networks are built by name, and take from weights what fits them, or say what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import (
    C4,
    FASTER_C4,
    LABELS,
    RUNNING,
    as_checkpoint,
    small_network,
    training_step,
    two_images,
)
from torch import Tensor

from fbnetv3 import WeightsError, create_model, list_models
from fbnetv3.config import Norm

PREDICTORS = ("roi_heads.box_predictor.", "roi_heads.mask_head.predictor.")


def test_the_six_names() -> None:
    trunks = ("fbnetv3a_C4", "fbnetv3a_dsmask_C4", "fbnetv3g_fpn")
    assert list_models() == [f"{kind}_rcnn_{trunk}" for kind in ("faster", "mask") for trunk in trunks]


class TestLoading:
    def test_the_same_network(self) -> None:
        checkpoint = as_checkpoint(small_network(seed=1))
        loaded = small_network(weights=checkpoint, seed=2).state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in checkpoint.state.items())

    def test_classes_and_settings_come_from_the_weights(self) -> None:
        checkpoint = as_checkpoint(small_network(anchor_ratios=(1.0,)), anchor_ratios=[1.0], min_size=64)
        model = create_model(C4, checkpoint, min_size=96)
        assert model.config.num_classes == len(LABELS) and model.config.anchor_ratios == (1.0,)
        assert model.config.min_size == 96

    def test_a_mask_checkpoint_serves_a_faster_rcnn(self) -> None:
        checkpoint = as_checkpoint(small_network(seed=1))
        loaded = small_network(FASTER_C4, weights=checkpoint, seed=2).state_dict()
        assert loaded.keys() < checkpoint.state.keys()
        assert all(torch.equal(tensor, checkpoint.state[key]) for key, tensor in loaded.items())

    def test_a_faster_checkpoint_leaves_the_mask_head_new(self, caplog: pytest.LogCaptureFixture) -> None:
        checkpoint = as_checkpoint(small_network(FASTER_C4, seed=1))
        fresh, loaded = small_network(seed=2), small_network(weights=checkpoint, seed=2)
        for key, tensor in loaded.state_dict().items():
            source = fresh.state_dict() if key.startswith("roi_heads.mask_head.") else checkpoint.state
            assert torch.equal(tensor, source[key]), key
        assert "keep their initialisation" in caplog.text and "roi_heads.mask_head." in caplog.text

    def test_another_number_of_classes_keeps_new_predictors(self, caplog: pytest.LogCaptureFixture) -> None:
        checkpoint = as_checkpoint(small_network(seed=1))
        fresh = small_network(num_classes=5, seed=2)
        loaded = small_network(weights=checkpoint, num_classes=5, seed=2)
        assert loaded.config.num_classes == 5
        for key, tensor in loaded.state_dict().items():
            source = fresh.state_dict() if key.startswith(PREDICTORS) else checkpoint.state
            assert torch.equal(tensor, source[key]), key
        assert "keep their initialisation" in caplog.text

    def test_weights_that_fit_are_loaded_without_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        small_network(weights=as_checkpoint(small_network()))
        assert not caplog.records

    @pytest.mark.parametrize("norm", ["SyncBN", "NaiveSyncBN", "GN", "FrozenBN"])
    def test_batch_norm_weights_in_a_network_of_another_norm(self, norm: Norm) -> None:
        model = small_network(norm="BN", seed=1)
        training_step(model, *two_images())
        checkpoint = as_checkpoint(model)
        loaded = small_network(weights=checkpoint, norm=norm, seed=2).state_dict()
        assert all(torch.equal(tensor, checkpoint.state[key]) for key, tensor in loaded.items())
        left = checkpoint.state.keys() - loaded.keys()
        assert all(key.endswith(RUNNING) for key in left) and bool(left) == (norm == "GN")

    def test_group_norm_weights_lack_the_statistics_of_batch_norm(self) -> None:
        with pytest.raises(WeightsError, match="running_mean"):
            small_network(weights=as_checkpoint(small_network(norm="GN")), norm="BN")

    def test_weights_of_another_trunk(self) -> None:
        checkpoint = as_checkpoint(small_network("faster_rcnn_fbnetv3a_C4"))
        with pytest.raises(WeightsError) as caught:
            small_network(weights=checkpoint)
        text = str(caught.value)
        assert "faster_rcnn_fbnetv3a_C4" in text and C4 in text and "\n" not in text

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param({"backbone.body.trunk0.fbnetv2_0_0.conv.weight": None}, id="missing"),
            pytest.param({"backbone.body.trunk0.fbnetv2_0_0.conv.weight": torch.zeros(1)}, id="other shape"),
            pytest.param({"roi_heads.box_predictor.cls_score.weight": None}, id="missing predictor"),
            pytest.param({"roi_heads.mask_head.predictor.mask_fcn_logits.bias": None}, id="half a mask head"),
            pytest.param({"stranger.weight": torch.zeros(1)}, id="unknown tensor"),
        ],
    )
    def test_tensors_that_do_not_fit(self, damage: dict[str, Tensor | None]) -> None:
        checkpoint = as_checkpoint(small_network())
        state = {key: tensor for key, tensor in {**checkpoint.state, **damage}.items() if tensor is not None}
        with pytest.raises(WeightsError, match=next(iter(damage))):
            small_network(weights=replace(checkpoint, state=state))
