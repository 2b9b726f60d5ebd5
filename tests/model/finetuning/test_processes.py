"""One training shared by processes that talk through gloo."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from small_networks import as_checkpoint, small_network
from two_processes import agree, leave

from fbnetv3.data.examples import SceneExamples
from fbnetv3.finetuning import FineTuningSettings, TrainingError, fine_tune
from fbnetv3.finetuning.processes import Process, processes


@pytest.mark.parametrize(("count", "shares"), [(1, ["abcdef"]), (2, ["ace", "bdf"]), (3, ["ad", "be", "cf"])])
def test_a_batch_is_shared_without_rest(count: int, shares: list[str]) -> None:
    assert [Process(number, count).share("abcdef") for number in range(count)] == shares


def test_the_first_process_decides_what_all_have_in_the_end(tmp_path: Path) -> None:
    work = partial(agree, tmp_path)
    with processes("cpu", 2, work) as process:
        work(process)
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in range(2))
    torch.manual_seed(0)
    assert torch.equal(first["0.weight"], torch.nn.Conv2d(3, 4, 3).weight)
    assert all(torch.equal(second[name], value) for name, value in first.items())


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


def test_a_process_that_is_gone_is_a_sentence() -> None:
    with (
        pytest.raises(TrainingError, match="another process of this training ended"),
        processes("cpu", 2, leave) as process,
    ):
        process.agreed(True)
        process.agreed(True)
