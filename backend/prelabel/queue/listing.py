"""The queue as Label Studio has it: what comes next, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from prelabel.errors import PrelabelError
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import find_tab, tab_notes
from prelabel.labelstudio.config.project import read_project
from prelabel.publish.survey import SCORE_COLUMN
from prelabel.queue.ranked_tasks import group_of, is_drawn
from prelabel.queue.refresh import SAMPLING, TAB

MAX_PAGE = 100


class QueueError(PrelabelError):
    """A project without a queue: one sentence, with the remedy in it."""


@dataclass(frozen=True)
class NextTask:
    """A task in the queue. `score`: as Label Studio shows it, None where it has no prediction of the shown version.

    `group`: that its strategy put it in; `is_drawn`: its place was drawn at random. Both None for a task that was
    predicted since the last refresh, whose score is its confidence.
    """

    id: int
    score: float | None
    group: int | None
    is_drawn: bool | None


@dataclass(frozen=True)
class Queue:
    """The next tasks, and the refresh that put them in order. Its fields are None where the tab lost its notes.

    `shown`: the version whose scores Label Studio follows; `follows`: whether its label stream does.
    """

    tasks: tuple[NextTask, ...]
    strategy: str | None
    random_share: float | None
    version: str | None
    at: datetime | None
    shown: str
    follows: bool


def read_queue(client: LabelStudioClient, project_id: int, limit: int) -> Queue:
    """The first `limit` tasks of the tab, in its order. Raises LabelStudioError, and QueueError without a tab."""
    project = read_project(client, project_id)
    tab = find_tab(client, project_id, TAB)
    if tab is None:
        raise QueueError(
            f"Project {project_id} has no tab {TAB!r} yet: run `prelabel queue refresh --project {project_id}`."
        )
    shown, notes = project.shown_version, tab_notes(tab)
    at = notes.get("at")
    return Queue(
        tuple(_tasks(client, project_id, tab["id"], shown, limit)),
        notes.get("strategy"),
        notes.get("random_share"),
        notes.get("version"),
        datetime.fromisoformat(at) if at else None,
        shown,
        project.sampling == SAMPLING,
    )


def why(task: NextTask, queue: Queue) -> str:
    """Why a task has its place, in a few words."""
    if task.score is None:
        return "no prediction yet"
    if task.is_drawn is None:
        return "predicted since the last refresh"
    return "random share" if task.is_drawn else queue.strategy or "-"


def _tasks(
    client: LabelStudioClient, project_id: int, tab_id: int, shown: str, limit: int
) -> Iterator[NextTask]:
    rows = client.tasks(project_id, min(limit, MAX_PAGE), with_results=False, view=str(tab_id))
    for row in islice(rows, limit):
        cluster = _cluster(client.task_predictions(row["id"]), shown)
        why = (None, None) if cluster is None else (group_of(cluster), is_drawn(cluster))
        yield NextTask(row["id"], row[SCORE_COLUMN], *why)


def _cluster(predictions: list[dict[str, Any]], version: str) -> int | None:
    """That of the newest prediction of this version."""
    of_version = [row["cluster"] for row in predictions if row["model_version"] == version]
    return of_version[-1] if of_version else None
