"""An order of images as the scores and clusters of tasks, such that Label Studio's own queues follow it.

Label Studio's label stream ("Uncertainty sampling") takes a task of the cluster of which its user has labelled least,
and among those the lowest score. So the score carries the order, as the task's place; and the cluster must not
overrule it, although it is to tell the group: every task has a number of its own,

    group * 1,000,000 + the task's number in its project, negative where the place was drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fbnetv3.active_learning import Ranking
from prelabel.publish.survey import SurveyedTask

TASKS_PER_GROUP = 1_000_000
"""The number of a task in its project counts from 1; the database's integer has room for two thousand groups."""

SCORE_DIGITS = 6
"""Tells the places of a million tasks apart."""


@dataclass(frozen=True)
class RankedTask:
    """What Label Studio is told of a task's place: its `score`, 0 <= score < 1, is lower the earlier it comes."""

    task_id: int
    score: float
    cluster: int


def ranked_tasks(tasks: Sequence[SurveyedTask], ranking: Ranking) -> list[RankedTask]:
    """The tasks, the first to label first. `tasks`: of the ranked images, in their order.

    A task with several images has the place of the earliest of them.
    """
    earliest: dict[int, int] = {}
    for image in ranking.indices.tolist():
        earliest.setdefault(tasks[image].id, image)
    return [
        RankedTask(
            task_id,
            round(place / len(earliest), SCORE_DIGITS),
            _cluster(tasks[image].number, int(ranking.clusters[image]), bool(ranking.at_random[image])),
        )
        for place, (task_id, image) in enumerate(earliest.items())
    ]


def group_of(cluster: int) -> int:
    """The group that a task's cluster tells."""
    return abs(cluster) // TASKS_PER_GROUP


def is_drawn(cluster: int) -> bool:
    """Whether the task's place was drawn at random."""
    return cluster < 0


def _cluster(number: int, group: int, drawn: bool) -> int:
    cluster = group * TASKS_PER_GROUP + number % TASKS_PER_GROUP
    return -cluster if drawn else cluster
