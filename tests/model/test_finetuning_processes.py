"""One training shared by processes that talk through gloo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_networks import as_checkpoint, small_network

from fbnetv3.finetuning import FineTuningSettings, fine_tune
from fbnetv3.finetuning.processes import Process
from fbnetv3.learning.examples import SceneExamples


@pytest.mark.parametrize(("count", "shares"), [(1, ["abcdef"]), (2, ["ace", "bdf"]), (3, ["ad", "be", "cf"])])
def test_a_batch_is_shared_without_rest(count: int, shares: list[str]) -> None:
    assert [Process(number, count).share("abcdef") for number in range(count)] == shares


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Only the order of sums differs."""
    examples = SceneExamples(0, 4, (128, 160))
    start = as_checkpoint(small_network(num_classes=len(examples.labels)), examples.labels)
    one, two = (
        fine_tune(
            start,
            examples,
            SceneExamples(50, 1, (128, 160)),
            tmp_path / str(count),
            FineTuningSettings(epochs=1, batch_size=2, min_size=64, max_size=96, devices=count),
        )
        for count in (1, 2)
    )
    moved = apart = 0.0
    for name, tensor in one.checkpoint.state.items():
        if tensor.is_floating_point() and tensor.shape == start.state[name].shape:
            moved += torch.dist(tensor, start.state[name]).item() ** 2
            apart += torch.dist(tensor, two.checkpoint.state[name]).item() ** 2
    assert apart < 1e-6 * moved
