"""One fine-tuning in several processes, of this machine or of many, through torch.distributed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from fbnetv3.training.loop import TrainingError

Item = TypeVar("Item")

TIMEOUT = timedelta(minutes=30)
"""For the slowest step of another process: the first one looks at the hold-out while the others wait."""


@dataclass(frozen=True)
class Process:
    """This process among `count`; number 0 writes and reports."""

    number: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.number == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch."""
        return items[self.number :: self.count]

    def agreed(self, value: bool) -> bool:
        """The first process's value."""
        if self.count == 1:
            return value
        shared = torch.tensor([int(value)], device=self.device)
        dist.broadcast(shared, 0)
        return bool(shared.item())

    def agree_on(self, model: nn.Module) -> None:
        """Give the model the values that it has in the first process."""
        if self.count == 1:
            return
        for tensor in model.state_dict().values():
            shared = tensor.contiguous()
            dist.broadcast(shared, 0)
            tensor.copy_(shared)


@contextmanager
def processes(device: str, count: int, work: Callable[[Process], object]) -> Iterator[Process]:
    """This process among those that train together.

    Where torchrun started it, it is one of torchrun's. Otherwise it is the first of `count`, and the others are
    started here and do `work`, which must be picklable; they end with this one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        process = Process(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), device)
        with _group(process, "env://", int(os.environ.get("LOCAL_RANK", "0"))) as process:
            yield process
    elif count == 1:
        yield Process(device=device)
    else:
        address = f"tcp://127.0.0.1:{_free_port()}"
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(target=_other, args=(number, count, device, address, work), daemon=True)
            for number in range(1, count)
        ]
        for other in others:
            other.start()
        try:
            with _group(Process(0, count, device), address, 0) as process:
                yield process
            for other in others:
                other.join()
        finally:
            for other in others:
                other.kill()


def _other(number: int, count: int, device: str, address: str, work: Callable[[Process], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process too, which ends this one
    with _group(Process(number, count, device), address, number) as process:
        work(process)


@contextmanager
def _group(process: Process, address: str, gpu: int) -> Iterator[Process]:
    """The process in its group, on a GPU of its own where the device is cuda."""
    backend, device = "gloo", process.device
    if device.startswith("cuda"):
        backend, device = "nccl", f"cuda:{gpu}"
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend, init_method=address, rank=process.number, world_size=process.count, timeout=TIMEOUT
    )
    try:
        yield Process(process.number, process.count, device)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(
            error
        ):  # gloo's errors have no type of their own
            raise TrainingError("another process of this training ended; its message says why") from error
        raise
    finally:
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
