"""What comes next in labelling, and why: pictures of the next tasks, and the order they are in."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Dash, html
from dash.development.base_component import Component

from prelabel.console.context import Context
from prelabel.console.kept import Answer
from prelabel.console.parts import (
    Children,
    action,
    address,
    copyable,
    empty,
    figure,
    live,
    moment,
    problem,
    section,
)
from prelabel.console.project_frame import project_page
from prelabel.console.running_job import job_part
from prelabel.console.thumbnails import register_thumbnails
from prelabel.queue.listing import NextTask, Queue, QueueError, read_queue, why
from prelabel.settings import STRATEGIES
from prelabel.store.project_settings import project_settings

KEPT_SECONDS = 30.0
SHOWN = 24
"""Tasks; each takes a request to Label Studio to say why it is there."""

REFRESH_SECONDS = 3.0


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/queue."""
    part = live("queue", content(context, str(project)), project, seconds=REFRESH_SECONDS)
    return project_page(context, project, "queue", part)


def content(context: Context, project: str) -> Children:
    """The next tasks as Label Studio has them, and what puts them in order."""
    project_id = int(project)
    known: Answer[Queue | None] = context.kept.ask(
        ("queue", project_id), lambda: _read(context, project_id), KEPT_SECONDS
    )
    menu = _menu(
        project_id, project_settings(context.settings, context.database, project_id).prelabel_strategy
    )
    job = job_part(context, project_id, "queue")
    return dmc.Stack(
        [*job, section("Next tasks", menu, dmc.Space(h="sm"), *_tasks(context, project_id, known))]
    )


def _read(context: Context, project_id: int) -> Queue | None:
    """None where there is no order yet."""
    try:
        return read_queue(context.client, project_id, SHOWN)
    except QueueError:
        return None


def _menu(project_id: int, usual: str) -> Component:
    buttons = [
        action(
            name.replace("_", " ") + (" (usual)" if name == usual else ""), "refresh queue", project_id, name
        )
        for name in STRATEGIES
    ]
    return html.Details([html.Summary("Put in order by ..."), dmc.Group(buttons, gap="xs", mt="xs")])


def _tasks(context: Context, project_id: int, known: Answer[Queue | None]) -> list[Component]:
    if known.problem:
        return [problem(known.problem)]
    if known.value is None:
        if known.is_coming:
            return [empty("Asking Label Studio …")]
        command = f"prelabel queue refresh --project {project_id}"
        return [empty("The tasks were not put in order yet: choose an order above.", command)]
    queue = known.value
    if not queue.tasks:
        return [empty("No unlabelled task is left.")]
    cards = [_card(context, project_id, place, task, queue) for place, task in enumerate(queue.tasks, 1)]
    notes: list[Component] = []
    if queue.at:
        by = f" by {queue.version}: {(queue.strategy or '').replace('_', ' ')}."
        notes.append(dmc.Text(["Put in order ", moment(queue.at), by], size="sm", c="dimmed", mb="sm"))
    if queue.version and queue.version != queue.shown:
        said = f"The project shows {queue.shown or 'no version'}, not {queue.version}: connect it again."
        notes.append(dmc.Alert(said, color="yellow", variant="light", mb="sm"))
    return [
        *notes,
        dmc.SimpleGrid(cards, cols={"base": 2, "sm": 3, "md": 4, "xl": 6}),
        dmc.Space(h="sm"),
        copyable(f"prelabel queue show --project {project_id}"),
    ]


def _card(context: Context, project_id: int, place: int, task: NextTask, queue: Queue) -> Component:
    picture = html.Img(
        src=address("pictures", "tasks", f"{task.id}.jpg"),
        alt=f"task {task.id}",
        className="thumb",
    )
    score = "" if task.score is None else f", score {figure(task.score)}"
    words = [
        dmc.Text(f"{place}. task {task.id}", size="sm", fw=600),
        dmc.Text(f"{why(task, queue).replace('_', ' ')}{score}", size="xs", c="dimmed"),
    ]
    return dmc.Anchor(
        dmc.Card([dmc.CardSection(picture), *words], withBorder=True, padding="xs"),
        href=context.address(project_id, task.id),
        target="_blank",
        underline="never",
        c="inherit",
    )


def register(app: Dash, context: Context) -> None:
    """The pictures of tasks."""
    register_thumbnails(app.server, context)
