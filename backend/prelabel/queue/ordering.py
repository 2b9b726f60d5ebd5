"""A strategy applied to a project: its unlabelled tasks in the order in which they are to be labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fbnetv3.active_learning import STRATEGIES, PoolImage, Strategy, pooled_features, with_random_share
from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.representative import RepresentativeEdits
from prelabel.inference.outcomes import Failure
from prelabel.labels.usefulness import effort_of
from prelabel.publish.annotate import TaskProblem
from prelabel.publish.survey import SurveyedTask
from prelabel.queue.cached_features import CachedFeatures, TaskFeatures
from prelabel.queue.ranked_tasks import RankedTask, ranked_tasks
from prelabel.settings import Settings

MAX_LABELLED_IMAGES = 100
"""Labelled images that one refresh compares with, and views where it must: half a minute on two cores."""


@dataclass(frozen=True)
class Order:
    """Tasks, the first to label first. `problems`: tasks without a place, and why.

    `is_whole`: whether all tasks were viewed, none was left because somebody stopped it.
    """

    tasks: tuple[RankedTask, ...]
    problems: tuple[TaskProblem, ...]
    is_whole: bool


def strategy_called(settings: Settings, name: str, thresholds: Mapping[str, float]) -> Strategy:
    """The strategy of this name; where it wants any, with the seconds of the settings, these thresholds of labels, and
    that of the settings for others.
    """
    edits = ExpectedEdits(settings.model_score_threshold, thresholds, effort=effort_of(settings))
    with_settings: dict[str, Strategy] = {
        edits.name: edits,
        RepresentativeEdits.name: RepresentativeEdits(edits=edits),
    }
    return with_settings.get(name) or STRATEGIES[name]


def order_tasks(
    strategy: Strategy,
    random_share: float,
    cached: CachedFeatures,
    waiting: Sequence[SurveyedTask],
    labelled: Sequence[SurveyedTask],
    seed: int,
    keep_going: Callable[[], bool] = lambda: True,
) -> Order:
    """The order of the `waiting` tasks. `random_share`, 0..1: of the places that are drawn.

    `labelled`: the tasks that the strategy may compare them with; viewing some of them may be part of it.
    `keep_going` is asked before every image.
    """
    tasks: list[SurveyedTask] = []
    pool: list[PoolImage] = []
    failed: dict[int, str] = {}
    for one in cached.of(waiting, keep_going):
        task = waiting[one.task_index]
        if isinstance(one.features, Failure):
            failed[task.id] = one.features.reason
        else:
            tasks.append(task)
            pool.append(one.features)
    compared = _of_labelled(cached, labelled) if strategy.compares_with_labelled else ()
    features = pooled_features(one.features for one in compared if isinstance(one.features, PoolImage))
    ranking = with_random_share(strategy.order(pool, features, seed), random_share, seed)
    ranked = tuple(ranked_tasks(tasks, ranking))
    for placed in ranked:
        failed.pop(placed.task_id, None)
    problems = (TaskProblem(task_id, reason, is_pushed=True) for task_id, reason in failed.items())
    return Order(ranked, tuple(problems), keep_going())


def _of_labelled(cached: CachedFeatures, labelled: Sequence[SurveyedTask]) -> list[TaskFeatures]:
    """Those that are kept; where there are few, some more of the newest labelled tasks."""
    kept = cached.kept(labelled)
    missing = max(MAX_LABELLED_IMAGES - len(kept), 0)
    have = {one.task_index for one in kept}
    unknown = [task for index, task in enumerate(labelled) if index not in have]
    return [*kept, *cached.of(unknown[-missing:] if missing else [])]
