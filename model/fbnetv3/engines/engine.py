"""What the detector asks of an engine, and what it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fbnetv3.arrays import Array
from fbnetv3.config import ModelConfig


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which detections to report, and which of them with a mask: the least score for each class.

    `boxes`, `masks`: (classes,) float32; infinity where nothing of a class is wanted. A mask is the most expensive part
    of a detection, so one that nobody will see is not made.
    """

    boxes: Array
    masks: Array


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What an engine finds in one image, in pixels of the network's input, best first.

    `boxes` (n, 4) float32, x0, y0, x1, y1; `scores` (n,) float32; `classes` (n,) int64; `masked` (n,) bool: which
    have a mask; `mask_probabilities` (m, s, s) float32, those masks inside their boxes, in the same order. A
    network without a mask head gives None for the last.
    """

    boxes: Array
    scores: Array
    classes: Array
    masked: Array
    mask_probabilities: Array | None


class RegionDescriptions(NamedTuple):
    """What the box head makes of n regions of an image.

    `vectors` (n, d) float32, from which its predictor reads everything; `scores` (n, classes), 0..1; `boxes`
    (n, classes, 4), a better box for every class, in pixels of the network's input.
    """

    vectors: Array
    scores: Array
    boxes: Array


class ClassScores(NamedTuple):
    """The linear layer that makes class logits of vectors: vectors @ `weight` (d, classes + 1) + `bias` (classes + 1,),
    float32, background last.
    """

    weight: Array
    bias: Array


class Encoded(Protocol):
    """What the trunk and the RPN made of one image: the expensive part, from which everything else is read."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        ...

    @property
    def proposals(self) -> Array:
        """Boxes (r, 4) float32 that may hold something, in pixels of the input, the likeliest first."""
        ...

    @property
    def maps(self) -> Mapping[str, Array]:
        """The feature maps that the heads read, (C, h, w) float32 each, the finest level first."""
        ...


class Engine(Protocol):
    """A network that is ready for images. Safe to use from several threads."""

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

    @property
    def class_scores(self) -> ClassScores:
        """What its class scores are read from vectors with."""
        ...

    def encode(self, images: Sequence[Array]) -> Sequence[Encoded]:
        """Trunk and RPN on images of one size: (3, h, w) float32, blue, green, red, 0..255."""
        ...

    def detect(self, encoded: Sequence[Any], wanted: Wanted) -> list[NetworkOutput]:
        """The wanted objects in images of one size, which this engine encoded."""
        ...

    def classify(self, encoded: Any, boxes: Array) -> tuple[Array, Array]:
        """Scores (n, classes) and a better box for every class (n, classes, 4) of boxes (n, 4) float32."""
        ...

    def describe(self, encoded: Any, boxes: Array) -> RegionDescriptions:
        """The same of boxes (n, 4) float32 together with what it is read from."""
        ...

    def mask_probabilities(self, encoded: Any, boxes: Array, classes: Array) -> Array:
        """Masks (n, s, s), 0..1, of these classes (n,) int64 inside these boxes (n, 4). Needs a mask head."""
        ...
