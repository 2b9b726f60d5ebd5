"""Which images come next. An order is a function; adding one to ORDERS is all that it takes.

The labels are hidden from it: it sees the pictures and what serves, as prelabel does in a project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fbnetv3.active_learning import (
    RANDOM_SHARE,
    STRATEGIES,
    PoolImage,
    Strategy,
    pool_image,
    pooled_features,
    with_random_share,
)
from fbnetv3.active_learning.ranking import shuffle
from fbnetv3.arrays import Array
from fbnetv3.detector import Detector
from fbnetv3.judging import IDENTITY, Calibration
from fbnetv3.simulation.replay_data import ImageId


@dataclass(frozen=True)
class Queue:
    """What an order may look at.

    `pool`: all images to label, in the file's order; `labelled`: those that are, in the order of labelling. `pixels`:
    the picture of an image, (H, W, 3) uint8 RGB. `detector`: what serves, or the start weights. `labels`: that are
    asked for.
    `calibration`: of what serves. `random_share`: of the places, 0..1, those that a strategy leaves to chance.
    """

    pool: tuple[ImageId, ...]
    labelled: tuple[ImageId, ...]
    pixels: Callable[[ImageId], Array]
    detector: Detector
    labels: tuple[str, ...]
    seed: int
    calibration: Calibration = IDENTITY
    random_share: float = RANDOM_SHARE

    @property
    def waiting(self) -> tuple[ImageId, ...]:
        """What is not labelled, in the file's order."""
        labelled = set(self.labelled)
        return tuple(id_ for id_ in self.pool if id_ not in labelled)

    def looked_at(self, ids: Iterable[ImageId]) -> list[PoolImage]:
        """These images, as the detector sees them."""
        return [pool_image(self.detector, self.pixels(id_), self.labels, self.calibration) for id_ in ids]


#: The next `count` images of a queue, best first.
Order = Callable[[Queue, int], Sequence[ImageId]]


def random_order(queue: Queue, count: int) -> Sequence[ImageId]:
    """One shuffle of the whole pool per seed: ten images and then ten more are the first twenty, however asked."""
    waiting = set(queue.waiting)
    shuffled = [queue.pool[place] for place in shuffle(len(queue.pool), queue.seed)]
    return [id_ for id_ in shuffled if id_ in waiting][:count]


def file_order(queue: Queue, count: int) -> Sequence[ImageId]:
    """As the annotation file lists them."""
    return queue.waiting[:count]


def by_strategy(strategy: Strategy) -> Order:
    """A strategy of fbnetv3.active_learning, with a share of random images, as in a project.

    While nothing is known of the labels, strategies that judge what is found give the random order.
    """

    def order(queue: Queue, count: int) -> Sequence[ImageId]:
        waiting = queue.waiting
        labelled = queue.looked_at(queue.labelled) if strategy.compares_with_labelled else ()
        ranking = strategy.order(queue.looked_at(waiting), pooled_features(labelled), queue.seed)
        mixed = with_random_share(ranking, queue.random_share, queue.seed)
        return [waiting[place] for place in mixed.indices[:count]]

    return order


#: `random` is the strategy of this name; here it does not have to look at anything.
ORDERS: Mapping[str, Order] = {
    "random": random_order,
    "file": file_order,
    **{name: by_strategy(one) for name, one in STRATEGIES.items() if name != "random"},
}
