"""What trainers wrap a network's tensors in comes off, in any order; the moving average is told from the weights."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fbnetv3.weights.wrappings import AVERAGES, unwrapped

NAME = "backbone.body.trunk0.fbnetv2_0_0.conv.weight"
PREFIXES = ("model.", "module.", "_orig_mod.")


def one(value: float = 1.0) -> Tensor:
    return torch.full((2,), value)


@pytest.mark.parametrize(
    "prefix",
    ["".join(order) for count in (1, 2, 3) for order in itertools.permutations(PREFIXES, count)]
    + ["module.module.", "model._orig_mod.model.", "_fsdp_wrapped_module._checkpoint_wrapped_module."],
)
def test_prefixes_come_off_in_any_order(prefix: str) -> None:
    assert unwrapped({"model": {prefix + NAME: one()}}).network.keys() == {NAME}
    assert unwrapped({prefix + NAME: one()}).network.keys() == {NAME}


def test_a_part_that_was_compiled_alone() -> None:
    assert unwrapped({"backbone._orig_mod.body.x": one(), "roi_heads.module.y": one()}).network.keys() == {
        "backbone.body.x",
        "roi_heads.y",
    }


@pytest.mark.parametrize(
    "content",
    [
        {NAME: one()},
        {"model": {NAME: one()}, "optimizer": {"state": {0: one(2)}}, "iteration": 3},
        {"state_dict": {f"model.{NAME}": one()}, "epoch": 3},
        {"model_state_dict": {NAME: one()}},
        {"model": {"state_dict": {NAME: one()}}},
        {"module": OrderedDict({NAME: one()})},
        {"model": {NAME: nn.Parameter(one())}},
        {"model": {"n_averaged": torch.tensor(3), f"module.{NAME}": one()}},
    ],
)
def test_where_the_network_lies(content: dict[str, Any]) -> None:
    assert torch.equal(unwrapped(content).network[NAME], one())


@pytest.mark.parametrize("key", AVERAGES)
@pytest.mark.parametrize(
    "average",
    [
        {NAME: one(2)},
        {"decay": 0.9998, "module": {NAME: one(2)}, "updates": 7},
        {f"module._orig_mod.{NAME}": one(2)},
    ],
    ids=["d2go", "with decay", "wrapped"],
)
def test_the_moving_average_is_kept_apart(key: str, average: dict[str, Any]) -> None:
    named = unwrapped({"model": {NAME: one()}, key: average})
    assert named.average_key == key
    assert torch.equal(named.average[NAME], one(2)) and torch.equal(named.network[NAME], one())


@pytest.mark.parametrize("average", [None, 0.999, {}, {"decay": 0.9}, {"loss": one()}, [one()]])
def test_what_is_no_average_of_the_network(average: Any) -> None:
    named = unwrapped({"model": {NAME: one()}, "ema": average})
    assert (named.average_key, named.average) == ("", {})


def test_one_tensor_under_two_names() -> None:
    assert unwrapped({f"model.{NAME}": one(), f"module.{NAME}": one()}).network.keys() == {NAME}
    for other in (one(2), torch.ones(3), one().half()):
        with pytest.raises(ValueError, match=f"two different tensors called {NAME}"):
            unwrapped({f"model.{NAME}": one(), f"module.{NAME}": other})


@pytest.mark.parametrize("content", [None, 3, [one()], "text", one()])
def test_what_is_no_mapping_holds_nothing(content: Any) -> None:
    assert unwrapped(content).network == {}
