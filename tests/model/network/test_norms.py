"""Norms do what their names say: alone, in two processes, and frozen with the first stages of the trunk."""

from __future__ import annotations

from functools import cache
from typing import get_args

import pytest
import torch
from small_networks import (
    FPN,
    RUNNING,
    as_checkpoint,
    changes,
    copy_of,
    labelled_image,
    small_network,
    training_step,
    two_images,
    without_values,
)
from torch import nn
from two_processes import Case, Outcomes, learn, learn_shared

from fbnetv3.config import Norm
from fbnetv3.network.norms import FrozenBatchNorm2d, NaiveSyncBatchNorm2d, build_norm
from fbnetv3.network.rcnn import RCNN

NORM_CLASSES: dict[Norm, type[nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "NaiveSyncBN": NaiveSyncBatchNorm2d,
    "GN": nn.GroupNorm,
    "FrozenBN": FrozenBatchNorm2d,
}


@cache
def layers(norm: Norm) -> RCNN:
    """The largest network, without numbers."""
    return without_values(FPN, norm=norm)


def norms_of(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, tuple(NORM_CLASSES.values()))]


class TestNorms:
    @pytest.mark.parametrize("norm", get_args(Norm))
    def test_all_norm_layers_are_of_the_chosen_kind(self, norm: Norm) -> None:
        found = norms_of(layers(norm))
        assert len(found) == len(norms_of(layers("BN"))) > 100
        assert {type(layer) for layer in found} == {NORM_CLASSES[norm]}

    @pytest.mark.parametrize("norm", get_args(Norm))
    def test_the_names_of_the_weights_do_not_depend_on_the_norm(self, norm: Norm) -> None:
        def names(model: RCNN) -> set[str]:
            return {key for key in model.state_dict() if not key.endswith(RUNNING)}

        assert names(layers(norm)) == names(layers("BN"))

    @pytest.mark.parametrize("norm", ["BN", "NaiveSyncBN", "GN", "FrozenBN"])
    def test_one_step(self, norm: Norm) -> None:
        model = small_network(norm=norm)
        before = copy_of(model)
        losses = training_step(model, *two_images())
        assert all(0 < value < float("inf") for value in losses.values())
        changed = changes(before, model)
        norm_weights = {key for key in before if ".bn." in key and key.endswith(("weight", "bias"))}
        statistics = {key for key in before if key.endswith("running_mean")}
        assert any(key.endswith("pw.conv.weight") for key in changed)
        if norm == "FrozenBN":
            assert not any(".bn." in key for key in changed)
        else:
            assert norm_weights & changed
        if norm in ("BN", "NaiveSyncBN"):
            assert statistics and statistics <= changed

    def test_sync_bn_is_usable_on_a_cpu_for_inference(self) -> None:
        model = small_network(norm="SyncBN").eval()
        with torch.inference_mode():
            assert len(model([labelled_image()[0]])) == 1

    @pytest.mark.parametrize("channels", [16, 40, 72, 112, 160])
    def test_groups_divide_every_width(self, channels: int) -> None:
        layer = build_norm("GN", channels)
        assert isinstance(layer, nn.GroupNorm)
        assert layer.num_groups >= 8 and layer(torch.randn(2, channels, 3, 3)).isfinite().all()

    def test_frozen_batch_norm_equals_batch_norm_in_evaluation(self) -> None:
        """On both of its paths, in training mode too."""
        torch.manual_seed(0)
        original = nn.BatchNorm2d(5)
        for tensor in original.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
        frozen = FrozenBatchNorm2d(5)
        frozen.load_state_dict(original.state_dict())
        frozen.train()
        batch = torch.randn(3, 5, 4, 4)
        expected = original.eval()(batch)
        assert torch.allclose(frozen(batch), expected, atol=1e-6)
        assert torch.allclose(frozen(batch.requires_grad_()), expected, atol=1e-6)
        assert not list(frozen.parameters())

    def test_naive_sync_is_plain_batch_norm_in_one_process(self) -> None:
        torch.manual_seed(0)
        batch, wanted = torch.randn(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
        ours, plain = learn(NaiveSyncBatchNorm2d(3), batch, wanted), learn(nn.BatchNorm2d(3), batch, wanted)
        assert ours.keys() == plain.keys() and all(torch.equal(ours[key], plain[key]) for key in plain)


def joined_and_uneven() -> list[Case]:
    """A batch of four as two halves; and a share of two images with none for the other process."""
    torch.manual_seed(0)
    batch, wanted = 3 + 2 * torch.randn(4, 3, 6, 5), torch.randn(4, 3, 6, 5)
    norm = nn.BatchNorm2d(3)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    halves = Case(copy_of(norm), (batch[:2], batch[2:]), (wanted[:2], wanted[2:]))
    return [halves, Case(copy_of(norm), (batch[:2], batch[:0]), (wanted[:2], wanted[:0]))]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcomes]:
    """What the two processes have for each case."""
    return learn_shared(joined_and_uneven(), tmp_path_factory.mktemp("processes"))


@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestTwoProcesses:
    """NaiveSyncBN over gloo, as DistributedDataParallel uses it."""

    def test_two_halves_are_one_batch(self, outcomes: list[Outcomes]) -> None:
        """Running variance is that of the batch itself, as in detectron2: torch's has n - 1 below the line."""
        case = joined_and_uneven()[0]
        batch = torch.cat(case.shares)
        alone = nn.BatchNorm2d(3)
        alone.load_state_dict(case.state)
        expected = learn(alone, batch, torch.cat(case.wanted))
        expected["running_var"] = 0.9 * case.state["running_var"] + 0.1 * batch.var((0, 2, 3), correction=0)
        mine, other = outcomes[0]
        found = dict(mine)
        for name in ("output", "input gradient"):
            found[name] = torch.cat([mine[name], other[name]])
        for name in ("weight gradient", "bias gradient"):
            found[name] = mine[name] + other[name]
        for name in ("running_mean", "running_var"):
            assert torch.equal(mine[name], other[name]), name
        for name in expected.keys() - {"num_batches_tracked"}:
            assert torch.allclose(found[name], expected[name], rtol=1e-4, atol=1e-5), name

    def test_a_process_without_regions_spoils_nothing(self, outcomes: list[Outcomes]) -> None:
        """The mask head of a process whose images hold no objects gets an empty batch."""
        for result in outcomes[1]:
            for name, tensor in result.items():
                assert tensor.isfinite().all(), name


class TestFrozenStages:
    @pytest.mark.parametrize(
        ("norm", "count"), [("BN", 0), ("BN", 2), ("BN", 4), ("NaiveSyncBN", 2), ("GN", 2)]
    )
    def test_the_first_stages_stay_and_the_others_learn(self, norm: Norm, count: int) -> None:
        """Weights and the norms' statistics."""
        model = small_network(norm=norm, frozen_stages=count)
        before = copy_of(model)
        training_step(model, *two_images())
        changed = changes(before, model)
        for stage in range(4):
            inside = {key for key in before if key.startswith(f"backbone.body.trunk{stage}.")}
            learning = {
                key for key in inside if key.endswith((".conv.weight", "running_mean", "running_var"))
            }
            if stage < count:
                assert not inside & changed, stage
            else:
                assert learning <= changed, stage
        assert any(key.startswith("roi_heads.mask_head.") for key in changed)

    def test_freezing_does_not_change_what_the_network_finds(self) -> None:
        image = labelled_image()[0]
        checkpoint = as_checkpoint(small_network())
        found = []
        for count in (0, 3):
            model = small_network(weights=checkpoint, frozen_stages=count).eval()
            with torch.inference_mode():
                found.append(model.backbone(model.normalise([image]))["trunk3"])
        assert torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-4 * found[0].abs().max().item())

    def test_a_pyramid_has_five(self) -> None:
        model = without_values(FPN)
        model.to_empty(device="cpu").freeze_stages(5)
        learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert not any(name.startswith("backbone.bottom_up.") for name in learning)
        assert any(name.startswith("backbone.fpn_lateral2.") for name in learning)
