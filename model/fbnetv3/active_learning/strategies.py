"""The strategies by name: each orders a pool of unlabelled images by what a label of them is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fbnetv3.active_learning.combined import Combined
from fbnetv3.active_learning.diversity import Diversity
from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking, shuffle
from fbnetv3.active_learning.representative import Representative, RepresentativeEdits
from fbnetv3.active_learning.uncertainty import Entropy, LeastConfidence, Margin
from fbnetv3.arrays import Array

#: Of the places in an order, those that are drawn: one in ten (with_random_share).
RANDOM_SHARE = 0.1


class Strategy(Protocol):
    """A way to order images. The same pool, labelled images and seed give the same order."""

    @property
    def name(self) -> str:
        """What settings and options call it."""
        ...

    @property
    def compares_with_labelled(self) -> bool:
        """Whether `labelled` matters to it: if not, nobody has to look at labelled images."""
        ...

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """All n images of `pool`. `labelled`: (m, d) pooled features of images that are labelled, (0, 0) for none.

        `pool` and `labelled` were looked at with the same detector: features of two are not alike.
        """
        ...


@dataclass(frozen=True)
class Random:
    """The baseline: one shuffle per seed."""

    name = "random"
    compares_with_labelled = False

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy."""
        return Ranking.of(shuffle(len(pool), seed))


_ALL: tuple[Strategy, ...] = (
    Random(),
    LeastConfidence(),
    Margin(),
    Entropy(),
    ExpectedEdits(),
    Diversity(),
    Representative(),
    RepresentativeEdits(),
    Combined(),
)

STRATEGIES: Mapping[str, Strategy] = {strategy.name: strategy for strategy in _ALL}
