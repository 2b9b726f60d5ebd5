"""What a person may decide about a fine-tuning; everything left open is chosen for the data (see plan.py)."""

from __future__ import annotations

from dataclasses import dataclass

from fbnetv3.config import Norm

GIB = 1 << 30


@dataclass(frozen=True)
class FineTuningSettings:
    """None: chosen for the data.

    `frozen_stages`: first trunk stages that stay as they are, 0 to all of them. `epochs`: how often each image is
    seen. `flip`: whether images are mirrored; False where labels say left and right. `norm`: of the part that
    learns. `anchor_sizes`: in network pixels; as many as the start weights have, which with a feature pyramid is one
    per level. `cache_bytes`: of frozen stages' outputs on disk, 0 keeps none; `cache`: their folder, by default one
    beside the run's files. `device`: cpu, cuda, cuda:N; `devices`: processes on this machine, one GPU each on cuda.
    `threads`: of each process on the CPU.
    """

    frozen_stages: int | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    anchor_sizes: tuple[float, ...] | None = None
    flip: bool = True
    norm: Norm | None = None
    seed: int = 0
    cache_bytes: int = 4 * GIB
    cache: str | None = None
    device: str = "cpu"
    devices: int = 1
    threads: int | None = None
