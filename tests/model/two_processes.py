"""What two processes that talk through gloo do in tests. Importable, because the second one starts afresh."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from fbnetv3.finetuning.processes import Process
from fbnetv3.network.norms import NaiveSyncBatchNorm2d


class Case(NamedTuple):
    """A norm's state, and for each process its share (n, C, H, W) of the batch and the weights of its loss."""

    state: dict[str, Tensor]
    shares: tuple[Tensor, Tensor]
    wanted: tuple[Tensor, Tensor]


#: What `learn` gives in this process and in the other one.
Outcomes = tuple[dict[str, Tensor], dict[str, Tensor]]


def learn(norm: nn.Module, batch: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """The norm's output for a batch (n, C, H, W), and all that one backward pass of sum(output * wanted) leaves."""
    batch = batch.clone().requires_grad_()
    output = norm(batch)
    (output * wanted).sum().backward()
    assert batch.grad is not None
    gradients = {f"{name} gradient": p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {"output": output.detach(), "input gradient": batch.grad, **gradients, **norm.state_dict()}


def learn_shared(cases: list[Case], folder: Path) -> list[Outcomes]:
    """Run the cases in this process and another one, which share the norms."""
    other = mp.spawn(_other_process, (cases, folder), join=False)
    mine = _learn_together(0, cases, folder)
    while not other.join():
        pass
    return list(zip(mine, torch.load(folder / "other.pt"), strict=True))


def _other_process(_: int, cases: list[Case], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.save(_learn_together(1, cases, folder), folder / "other.pt")


def _learn_together(rank: int, cases: list[Case], folder: Path) -> list[dict[str, Tensor]]:
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", meeting, timedelta(minutes=2), world_size=2, rank=rank)
    try:
        found = []
        for case in cases:
            norm = NaiveSyncBatchNorm2d(len(case.state["weight"]))
            norm.load_state_dict(case.state)
            found.append(learn(norm, case.shares[rank], case.wanted[rank]))
        return found
    finally:
        dist.destroy_process_group()


def agree(folder: Path, process: Process) -> None:
    """Write the values of a layer that every process has begun with others, in the memory format of networks."""
    torch.manual_seed(process.number)
    layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    process.agree_on(layer)
    torch.save(layer.state_dict(), folder / f"{process.number}.pt")


def leave(process: Process) -> None:
    """Takes part once, then ends without a word."""
    process.agreed(True)
    os._exit(3)
