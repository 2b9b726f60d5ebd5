"""A strategy applied to a project: its unlabelled tasks in the order in which they are to be labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fbnetv3.active_learning import STRATEGIES, PoolImage, Strategy, pooled_features, with_random_share
from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.representative import RepresentativeEdits
from prelabel.inference.outcomes import Failure
from prelabel.labels.usefulness import effort_of
from prelabel.publish.annotate import TaskProblem
from prelabel.publish.survey import SurveyedTask
from prelabel.queue.looks import Look, Looks
from prelabel.queue.places import Place, places
from prelabel.settings import Settings

MAX_LABELLED_LOOKS = 100
"""Labelled images that one refresh looks at anew for their sake: half a minute on two cores."""


@dataclass(frozen=True)
class Order:
    """The places of tasks, the first to label first. `problems`: tasks without one, and why.

    `is_whole`: whether all tasks were looked at, none was left because somebody stopped it.
    """

    places: tuple[Place, ...]
    problems: tuple[TaskProblem, ...]
    is_whole: bool


def strategy_called(settings: Settings, name: str) -> Strategy:
    """The strategy of this name, with the thresholds and the seconds of the settings where it wants any."""
    edits = ExpectedEdits(score_threshold=settings.model_score_threshold, effort=effort_of(settings))
    ours: dict[str, Strategy] = {
        edits.name: edits,
        RepresentativeEdits.name: RepresentativeEdits(edits=edits),
    }
    return ours.get(name) or STRATEGIES[name]


def order_tasks(
    strategy: Strategy,
    random_share: float,
    looks: Looks,
    waiting: Sequence[SurveyedTask],
    labelled: Sequence[SurveyedTask],
    seed: int,
    keep_going: Callable[[], bool] = lambda: True,
) -> Order:
    """The order of the `waiting` tasks. `random_share`, 0..1: of the places that are drawn.

    `labelled`: the tasks that the strategy may compare them with; looking at some of them may be part of it.
    `keep_going` is asked before every image.
    """
    tasks: list[SurveyedTask] = []
    pool: list[PoolImage] = []
    failed: dict[int, str] = {}
    for look in looks.at(waiting, keep_going):
        task = waiting[look.task_index]
        if isinstance(look.found, Failure):
            failed[task.id] = look.found.reason
        else:
            tasks.append(task)
            pool.append(look.found)
    seen = _labelled_looks(looks, labelled) if strategy.compares_with_labelled else ()
    features = pooled_features(look.found for look in seen if isinstance(look.found, PoolImage))
    ranking = with_random_share(strategy.order(pool, features, seed), random_share, seed)
    placed = tuple(places(tasks, ranking))
    for place in placed:
        failed.pop(place.task_id, None)
    problems = (TaskProblem(task_id, reason, is_pushed=True) for task_id, reason in failed.items())
    return Order(placed, tuple(problems), keep_going())


def _labelled_looks(looks: Looks, labelled: Sequence[SurveyedTask]) -> list[Look]:
    """Those that are kept; where there are few, some more of the newest labelled tasks."""
    known = looks.known(labelled)
    missing = max(MAX_LABELLED_LOOKS - len(known), 0)
    have = {look.task_index for look in known}
    unknown = [task for index, task in enumerate(labelled) if index not in have]
    return [*known, *looks.at(unknown[-missing:] if missing else [])]
