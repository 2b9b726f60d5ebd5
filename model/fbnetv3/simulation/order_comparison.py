"""Several orders played on the same data: what each comes to, beside the random one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fbnetv3.simulation.orders import ORDERS
from fbnetv3.simulation.replay import Replay
from fbnetv3.simulation.round_results import RoundResult, StartResult, report
from fbnetv3.simulation.storage import SimulationError, Storage

BASELINE = "random"


@dataclass(frozen=True)
class OrderComparison:
    """`replay` once for each of `orders`, in a folder of its own below the replay's; the random one first, always.

    All keep their features in one place, and a first round with the same images is played once. Seed by seed, so
    that an interrupted comparison has whole seeds. `on_order` hears which order is played next.
    """

    replay: Replay
    orders: Sequence[str]
    on_order: Callable[[str], None] = lambda order: None

    def __post_init__(self) -> None:
        """Raises SimulationError for an order that does not exist."""
        for order in self.orders:
            if order not in ORDERS:
                raise SimulationError(f"there is no order {order!r}, but {', '.join(ORDERS)}")

    @property
    def all_orders(self) -> tuple[str, ...]:
        """With the baseline, each once."""
        return tuple(dict.fromkeys((BASELINE, *self.orders)))

    def run(self) -> dict[str, dict[str, Any]]:
        """Order -> what `report` says of it. Raises what Replay.run does."""
        played: dict[str, tuple[StartResult, list[RoundResult]]] = {}
        for seeds in range(1, self.replay.settings.seeds + 1):
            for order in self.all_orders:
                self.on_order(order)
                played[order] = self._replay(order, seeds).run()
        Storage(self.replay.folder).drop_features()
        return {order: report(*results) for order, results in played.items()}

    def _replay(self, order: str, seeds: int) -> Replay:
        replay, folder = self.replay, self.replay.folder
        training = replay.settings.training
        shared = replace(training, cache=training.cache or str(Storage(folder).features))

        def tell(result: RoundResult) -> None:
            if result.seed == seeds - 1:
                replay.on_round(result)

        return replace(
            replay,
            folder=folder / order,
            settings=replace(replay.settings, order=order, seeds=seeds, training=shared),
            twins=tuple(folder / other for other in self.all_orders[: self.all_orders.index(order)]),
            on_round=tell,
            on_step=lambda text: replay.on_step(f"{order}, {text}"),
        )
