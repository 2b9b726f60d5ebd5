"""What a person may decide about a fine-tuning; everything left open is chosen for the data (see plan.py).

A setting's range and meaning stand here once: the environment of a server, the options of commands and the docs take
them from `HYPER_PARAMETERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fbnetv3.config import ConfigError, Norm

GIB = 1 << 30
MOST_THREADS = 256


@dataclass(frozen=True)
class HyperParameter:
    """`description`: for people, whole sentences. `ge`, `le`: the least and the largest value; `gt`: below the least.

    `default` None: chosen for the data, or by what it runs on.
    """

    description: str
    default: Any = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None

    def objection(self, value: float) -> str | None:
        """What is wrong with a value, in the words after its name; None for one in the range."""
        if self.ge is not None and not value >= self.ge:
            return f"must be at least {self.ge}, not {value}"
        if self.gt is not None and not value > self.gt:
            return f"must be greater than {self.gt}, not {value}"
        if self.le is not None and not value <= self.le:
            return f"must be at most {self.le}, not {value}"
        return None


@dataclass(frozen=True)
class FineTuningSettings:
    """None: chosen for the data. What a field means and its range are its metadata, see `HYPER_PARAMETERS`.

    `frozen_stages` counts trunk stages. `anchor_sizes`: with a feature pyramid one per level. `cache`: the folder of
    frozen stages' outputs, by default one beside the run's files.
    """

    frozen_stages: int | None = field(
        default=None,
        metadata={
            "description": "First stages of the network that training leaves as they are; chosen when not set.",
            "ge": 0,
            "le": 5,
        },
    )
    epochs: float | None = field(
        default=None,
        metadata={
            "description": "How often training sees each image; chosen for the number of images when not set.",
            "gt": 0,
        },
    )
    learning_rate: float | None = field(
        default=None,
        metadata={
            "description": "The highest learning rate of a training run; chosen when not set.",
            "gt": 0,
            "le": 1,
        },
    )
    batch_size: int | None = field(
        default=None,
        metadata={
            "description": "Images per training step, of all processes together; chosen when not set.",
            "ge": 1,
            "le": 1024,
        },
    )
    min_size: int | None = field(
        default=None,
        metadata={
            "description": "Shorter side in pixels of the input that new weights are trained and served with; when not "
            "set, chosen for the sizes of the labelled objects, and for serving by the images left out.",
            "ge": 64,
            "le": 2048,
        },
    )
    max_size: int | None = field(
        default=None,
        metadata={
            "description": "Longest side of that input in pixels; chosen with the shorter one when not set.",
            "ge": 64,
            "le": 4096,
        },
    )
    anchor_sizes: tuple[float, ...] | None = field(
        default=None,
        metadata={
            "description": "Comma-separated anchor sizes in network pixels, as many as the start weights have (5); "
            "chosen for the sizes of the labelled objects when not set.",
        },
    )
    flip: bool = field(
        default=True,
        metadata={
            "description": "Whether training also sees images mirrored: false where labels say left and right.",
        },
    )
    norm: Norm | None = field(
        default=None,
        metadata={
            "description": "Normalisation layers of the part that learns: FrozenBN, BN, GN, NaiveSyncBN or (GPUs "
            "only) SyncBN; chosen when not set.",
        },
    )
    seed: int = field(
        default=0,
        metadata={
            "description": "Seed of the random numbers: which images and views a step sees, and its losses."
        },
    )
    cache_bytes: int = field(
        default=4 * GIB,
        metadata={
            "description": "Outputs of the frozen stages kept on disk for each project at most, least recently used "
            "out first; 0 keeps none.",
            "ge": 0,
        },
    )
    cache: str | None = None
    device: str = field(
        default="cpu", metadata={"description": "What training runs on: cpu, cuda or cuda:N."}
    )
    devices: int = field(
        default=1,
        metadata={"description": "Processes that train together: a GPU each on cuda.", "ge": 1, "le": 64},
    )
    threads: int | None = field(
        default=None,
        metadata={
            "description": "CPU threads of each training process; one per core when not set.",
            "ge": 1,
            "le": MOST_THREADS,
        },
    )

    def check(self) -> None:
        """Raises ConfigError for a value outside its range."""
        for name, one in HYPER_PARAMETERS.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and (objection := one.objection(value)):
                raise ConfigError(f"{name} {objection}")


HYPER_PARAMETERS: Mapping[str, HyperParameter] = {
    one.name: HyperParameter(default=one.default, **one.metadata)
    for one in fields(FineTuningSettings)
    if one.metadata
}
"""By the names of FineTuningSettings' fields."""
