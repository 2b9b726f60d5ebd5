"""What the detector asks of an engine, and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fbnetv3.config import ModelConfig


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which detections to report, and which of them with a mask: the least score for each class.

    `boxes`, `masks`: (classes,) float32; infinity where nothing of a class is wanted. A mask is the dearest part
    of a detection, so one that nobody will see is not made.
    """

    boxes: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What an engine finds in one image, in pixels of the network's input, best first.

    `boxes` (n, 4) float32, x0, y0, x1, y1; `scores` (n,) float32; `classes` (n,) int64; `masked` (n,) bool: which
    have a mask; `mask_probabilities` (m, s, s) float32, those masks inside their boxes, in the same order. A
    network without a mask head gives None for the last.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masked: np.ndarray
    mask_probabilities: np.ndarray | None


class Engine(Protocol):
    """A network that is ready to look at images. Safe to use from several threads."""

    #: What the log and the benchmarks call it.
    name: str
    #: Images of one size that it looks at together; more gain nothing.
    batch_size: int

    @property
    def config(self) -> ModelConfig:
        """The configuration of its network."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether the network has a mask head."""
        ...

    def detect(self, images: Sequence[np.ndarray], wanted: Wanted) -> list[NetworkOutput]:
        """The wanted objects in images of one size: (3, h, w) float32, blue, green, red, 0..255."""
        ...
