"""Which images a strategy gets to see, and which tasks have no place: cached features are stood in for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from fbnetv3.active_learning import PoolImage, Ranking
from fbnetv3.instances import Instances
from prelabel.inference.outcomes import Failure
from prelabel.publish.survey import SurveyedTask
from prelabel.queue.cached_features import TaskFeatures
from prelabel.queue.ordering import Order, order_tasks

BROKEN = Failure("image", "the file is not an image in a known format")


def image(number: int = 0) -> PoolImage:
    nothing = Instances.empty((8, 8), ("disc",))
    return PoolImage(
        nothing, np.zeros((0, 1), np.float32), np.zeros(0, np.float32), np.full(2, number, np.float32)
    )


class Cached:
    """`found`: task id -> its images. `kept`: ids of tasks whose features need no look."""

    def __init__(self, found: dict[int, list[PoolImage | Failure]], kept: Sequence[int] = ()) -> None:
        self.found, self.those_kept, self.viewed = found, kept, list[int]()

    def of(
        self, tasks: Sequence[SurveyedTask], keep_going: Callable[[], bool] = lambda: True
    ) -> Iterator[TaskFeatures]:
        for index, task in enumerate(tasks):
            for features in self.found.get(task.id, [image(task.id)]):
                if not keep_going():
                    return
                self.viewed.append(task.id)
                yield TaskFeatures(index, features)

    def kept(self, tasks: Sequence[SurveyedTask]) -> list[TaskFeatures]:
        return [
            TaskFeatures(index, image(task.id))
            for index, task in enumerate(tasks)
            if task.id in self.those_kept
        ]


class Backwards:
    """Orders from the last image to the first, and remembers what it was given."""

    name = "backwards"

    def __init__(self, compares: bool = True) -> None:
        self.compares_with_labelled, self.labelled = compares, list[int]()

    def order(self, pool: Sequence[PoolImage], labelled: Any, seed: int) -> Ranking:
        self.labelled = labelled[:, 0].astype(int).tolist() if len(labelled) else []
        return Ranking.of(np.arange(len(pool))[::-1])


def tasks(*ids: int) -> list[SurveyedTask]:
    return [SurveyedTask(number, {}, frozenset(), False, number=number) for number in ids]


def ordered(
    cached: Cached, waiting: Sequence[int], labelled: Sequence[int] = (), strategy: Backwards | None = None
) -> Order:
    return order_tasks(strategy or Backwards(), 0.0, cached, tasks(*waiting), tasks(*labelled), 7)  # type: ignore[arg-type]


def test_a_task_has_a_place_when_any_of_its_images_has() -> None:
    order = ordered(Cached({1: [BROKEN, image()], 2: [BROKEN], 3: [image()]}), [1, 2, 3])
    assert [one.task_id for one in order.tasks] == [3, 1]
    assert [(one.task_id, one.reason, one.is_pushed) for one in order.problems] == [(2, BROKEN.reason, True)]
    assert order.is_whole


def test_after_a_no_the_order_is_not_whole() -> None:
    answers = iter([True, True, False, False])
    order = order_tasks(Backwards(), 0.0, Cached({}), tasks(1, 2, 3), [], 7, lambda: next(answers))  # type: ignore[arg-type]
    assert ([one.task_id for one in order.tasks], order.is_whole) == ([2, 1], False)


@pytest.mark.parametrize(("kept", "newest"), [(0, 100), (60, 40), (99, 1), (100, 0), (120, 0)])
def test_it_is_compared_with_a_hundred_labelled_images_or_all_that_are_kept(kept: int, newest: int) -> None:
    """The oldest tasks are those that are kept here."""
    cached, strategy = Cached({}, kept=range(1, kept + 1)), Backwards()
    ordered(cached, [], range(1, 251), strategy)
    assert cached.viewed == list(range(251 - newest, 251))
    assert strategy.labelled == [*range(1, kept + 1), *cached.viewed]


def test_labelled_images_that_cannot_be_read_are_passed_over() -> None:
    strategy = Backwards()
    ordered(Cached({5: [BROKEN]}), [1], [4, 5], strategy)
    assert strategy.labelled == [4]


def test_a_strategy_that_compares_with_nothing_has_no_labelled_image_viewed() -> None:
    cached = Cached({})
    ordered(cached, [1, 2], [3, 4], Backwards(compares=False))
    assert cached.viewed == [1, 2]
