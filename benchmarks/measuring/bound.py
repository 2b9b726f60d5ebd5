"""What the machine allows: the work of a module against the speed of a matrix product and of a copy.

Work is what convolutions, linear layers and matrix products do; bytes are their weights and their outputs, once
each, in float32. What is smaller than the processor's caches can move faster than a large copy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from measuring.rounds import milliseconds
from measuring.sheets import Sheet

FLOAT = 4
MATRIX_SIDE = 2048
COPIED = 1 << 28
REPEATS = 15


@dataclass(frozen=True)
class Machine:
    """GFLOP/s of a float32 matrix product, GB/s that a copy reads and writes together."""

    gflops: float
    gbytes: float

    def milliseconds(self, work: Work) -> float:
        """The least time that this work could take."""
        return max(2 * work.multiply_adds / self.gflops, work.bytes / self.gbytes) / 1e6


@dataclass
class Work:
    """Multiply-adds, and bytes of weights and outputs."""

    multiply_adds: int = 0
    bytes: int = 0


class _Counter(TorchDispatchMode):
    """Adds up the work of all that runs under it."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.work.multiply_adds += count(*args, **(kwargs or {}), out_val=result) // 2
            weights = [one for one in args[1:] if isinstance(one, torch.Tensor)]
            self.work.bytes += FLOAT * sum(one.numel() for one in (result, *weights))
        return result


def machine(threads: int | None) -> Machine:
    """Measure this one: the faster of numpy's and PyTorch's product, and of their copies."""
    if threads:
        torch.set_num_threads(threads)
    matrix = np.random.default_rng(0).random((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    source, target = np.ones(COPIED // FLOAT, np.float32), np.zeros(COPIED // FLOAT, np.float32)
    tensor, tensor_source, tensor_target = map(torch.from_numpy, (matrix, source, target))
    product = [lambda: tensor @ tensor] if threads else [lambda: matrix @ matrix, lambda: tensor @ tensor]
    copying = [lambda: np.copyto(target, source), lambda: tensor_target.copy_(tensor_source)]
    return Machine(2 * MATRIX_SIDE**3 / _fastest(product) / 1e6, 2 * COPIED / _fastest(copying) / 1e6)


def _fastest(runs: list[Any]) -> float:
    """Milliseconds of the fastest call: what the machine can do."""
    return min(milliseconds(run) for _ in range(REPEATS) for run in runs)


@torch.no_grad()
def work(module: nn.Module, *inputs: Any) -> Work:
    """What one call of `module` does."""
    with _Counter() as counter:
        module(*inputs)
    return counter.work


def machine_sheet(machine: Machine) -> Sheet:
    """The speeds that the bounds are made of."""
    sheet = Sheet("Machine", ("", "reached"))
    sheet.add(f"float32 matrix product of {MATRIX_SIDE} x {MATRIX_SIDE}, GFLOP/s", machine.gflops)
    sheet.add(f"copy of {COPIED >> 20} MiB, read and written, GB/s", machine.gbytes)
    return sheet
