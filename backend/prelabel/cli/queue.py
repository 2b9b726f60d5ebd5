"""`prelabel queue`: the order in which a project's tasks are labelled."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.table import Table

from prelabel.cli.common import (
    ProjectId,
    console,
    errors_in_one_sentence,
    fail,
    open_project,
    own_settings_or_fail,
    print_problems,
    progress_bar,
    settings_or_fail,
    stoppable,
    warn,
)
from prelabel.settings import StrategyName

if TYPE_CHECKING:
    from prelabel.publish.annotate import Summary
    from prelabel.queue.listing import NextTask, Queue
    from prelabel.queue.refresh import Refreshed

app = typer.Typer(help="The order in which the tasks of a project are labelled.", no_args_is_help=True)

Choice = StrEnum("Choice", {name: name for name in get_args(StrategyName)})  # type: ignore[misc]


@app.command()
def refresh(
    project: ProjectId,
    strategy: Annotated[
        Choice | None, typer.Option(help="Strategy that orders the tasks (default: PRELABEL_STRATEGY).")
    ] = None,
    random_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the places that are drawn at random (default: PRELABEL_RANDOM_SHARE).",
        ),
    ] = None,
) -> None:
    """Put the unlabelled tasks in order, after predicting those that have no prediction of the serving version.

    Ctrl-C loses nothing: the next run continues from there.
    """
    settings = own_settings_or_fail(project)
    name = strategy.value if strategy else settings.prelabel_strategy
    if name == "none":
        fail("PRELABEL_STRATEGY is none: name one with --strategy.")
    share = settings.prelabel_random_share if random_share is None else random_share
    with errors_in_one_sentence():
        from prelabel.publish.shown_version import notes_after
        from prelabel.queue.refresh import QueueRefresh

        client, predictor, own = open_project(settings, project)
        work = QueueRefresh(settings, client, predictor, project, own)
        with stoppable():
            with progress_bar() as show:
                summary = work.predict(on_progress=show)
            with console.status("looking at the tasks") as status:

                def tell(done: int, total: int) -> None:
                    status.update(f"telling Label Studio the order: {done} of {total} tasks")

                refreshed = work.put_in_order(name, share, on_place=tell)
        _print_refreshed(summary, refreshed)
        warn(notes_after(client, project, predictor.version, own))


@app.command()
def show(
    project: ProjectId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of tasks to list.")] = 20,
) -> None:
    """List the next tasks in the order in which Label Studio shows them to annotators, and why each has its place."""
    settings = settings_or_fail()
    with errors_in_one_sentence():
        from prelabel.labelstudio.api.client import label_studio_client
        from prelabel.queue.listing import read_queue

        queue = read_queue(label_studio_client(settings), project, limit)
    _print_queue(queue)


def _print_refreshed(summary: Summary, refreshed: Refreshed) -> None:
    console.print(
        f"{refreshed.ordered} tasks are in the order of {refreshed.strategy} by {refreshed.version}.",
        style="green",
    )
    console.print(f"Tasks with a new prediction: {summary.pushed}")
    console.print(f"Predictions with another place than before: {refreshed.changed}")
    problems = [*summary.problems, *refreshed.problems]
    if problems:
        console.print(f"Problems: {len(problems)}")
        print_problems(problems)
    warn(refreshed.notes)


def _print_queue(queue: Queue) -> None:
    from prelabel.queue.listing import why

    if not queue.tasks:
        console.print("No unlabelled task is left.")
        return
    table = Table("place", "task", "score", "group", "why", box=None)
    for place, task in enumerate(queue.tasks, 1):
        score = "-" if task.score is None else f"{task.score:.4f}"
        table.add_row(str(place), str(task.id), score, _group(task), why(task, queue))
    console.print(table)
    if queue.at:
        drawn = (
            "" if queue.random_share is None else f", {queue.random_share:.0%} of the places drawn at random"
        )
        console.print(
            f"Put in order {queue.at:%Y-%m-%d %H:%M} UTC by {queue.version}: {queue.strategy}{drawn}."
        )
    if not queue.follows:
        warn(["The label stream does not follow scores; the tab of the Data Manager does."])
    if queue.version and queue.version != queue.shown:
        warn(
            [f"The project shows {queue.shown or 'no version'!r}: `prelabel connect` shows {queue.version}."]
        )


def _group(task: NextTask) -> str:
    return "-" if task.group is None else str(task.group)
