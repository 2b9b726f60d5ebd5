"""Which images come next. An order is a function; adding one to ORDERS is all that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.detector import Detector
from fbnetv3.simulation.replay_data import ImageId, ReplayData


@dataclass(frozen=True)
class Queue:
    """What an order may look at: the `waiting` images in the file's order, what `serves` (None: nothing that knows
    the labels), and the seed. Labels of waiting images are not for its eyes."""

    data: ReplayData
    waiting: tuple[ImageId, ...]
    serves: Detector | None
    seed: int


#: The next `count` images of a queue, best first.
Order = Callable[[Queue, int], Sequence[ImageId]]


def random_order(queue: Queue, count: int) -> Sequence[ImageId]:
    """One shuffle of the whole pool per seed: ten images and then ten more are the first twenty, however asked."""
    pool = queue.data.pool
    shuffled = [pool[place] for place in np.random.default_rng(queue.seed).permutation(len(pool))]
    waiting = set(queue.waiting)
    return [id_ for id_ in shuffled if id_ in waiting][:count]


def file_order(queue: Queue, count: int) -> Sequence[ImageId]:
    """As the annotation file lists them."""
    return queue.waiting[:count]


ORDERS: Mapping[str, Order] = {"random": random_order, "file": file_order}
