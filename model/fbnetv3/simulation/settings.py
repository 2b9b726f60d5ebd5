"""What a simulation plays: how many labels, in which order, trained and judged how."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fbnetv3.active_learning import RANDOM_SHARE
from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.judging import SCORE_THRESHOLD, Effort
from fbnetv3.simulation.orders import ORDERS
from fbnetv3.simulation.storage import SimulationError


@dataclass(frozen=True)
class SimulationSettings:
    """`rounds`: numbers of labelled images at which a fine-tuning starts, rising. `order`: a name in ORDERS.

    `random_share`: of the places in a strategy's order, 0..1, those left to chance. `gated`: whether the gate decides
    what serves; without it every candidate does. `training` is used with each seed in turn.
    """

    rounds: tuple[int, ...]
    seeds: int = 3
    order: str = "random"
    random_share: float = RANDOM_SHARE
    gated: bool = True
    score_threshold: float = SCORE_THRESHOLD
    effort: Effort = field(default_factory=Effort)
    training: FineTuningSettings = field(default_factory=FineTuningSettings)

    def __post_init__(self) -> None:
        """Raises SimulationError for what cannot be simulated."""
        if not self.rounds or self.rounds[0] < 1 or list(self.rounds) != sorted(set(self.rounds)):
            raise SimulationError("rounds must be rising numbers of images, such as 10,20,40,80")
        if self.seeds < 1:
            raise SimulationError("at least one seed is needed")
        if self.order not in ORDERS:
            raise SimulationError(f"there is no order {self.order!r}, but {', '.join(ORDERS)}")
        if not 0 <= self.random_share <= 1:
            raise SimulationError("the share of random images must be within 0 and 1")

    def cut_to(self, images: int) -> SimulationSettings:
        """No round larger than the data, and no two that are equal."""
        return replace(self, rounds=tuple(sorted({min(labels, images) for labels in self.rounds})))
