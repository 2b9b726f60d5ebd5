"""The parts that pages are made of: they look the same everywhere because they are made here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from prelabel.store.runs import Run, RunState
from prelabel.store.versions import VersionState

Children = Any
"""What Dash takes for the content of a component: text, a component, a list of these, None."""

ROOT = "/console"

CHART: Any = {"displayModeBar": False, "responsive": True}
"""Without the row of tools over it, and as wide as the window lets it be."""

UNKNOWN = "-"

STATE_COLOURS: Mapping[str, str] = {
    VersionState.SERVING: "green",
    VersionState.RETIRED: "gray",
    VersionState.CANDIDATE: "blue",
    VersionState.REJECTED: "orange",
    RunState.QUEUED: "blue",
    RunState.RUNNING: "blue",
    RunState.JUDGED: "blue",
    RunState.PROMOTED: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "gray",
}


def section(title: str, *content: Children, aside: Children = None) -> Component:
    """A card with a heading; `aside` stands at the right of it."""
    heading = dmc.Group([dmc.Title(title, order=2, size="h4"), aside], justify="space-between", mb="sm")
    return dmc.Paper([heading, *content], withBorder=True, radius="md", p="md")


def empty(sentence: str, command: str | None = None) -> Component:
    """What stands where there is nothing yet: what to do next."""
    said = dmc.Text(sentence, c="dimmed")
    return dmc.Stack([said, copyable(command)] if command else [said], gap="xs")


def problem(sentence: str) -> Component:
    """What went wrong, in one sentence."""
    return dmc.Alert(sentence, color="red", variant="light")


def copyable(command: str) -> Component:
    """The command that does the same, to be copied."""
    copy = dmc.CopyButton(
        value=command,
        children="Copy",
        copiedChildren="Copied",
        size="compact-xs",
        variant="subtle",
        color="gray",
    )
    return dmc.Group([dmc.Code(command), copy], gap=4)


def state_badge(state: VersionState | RunState | str) -> Component:
    """Where a version or a run stands."""
    colour = STATE_COLOURS.get(state, "gray")
    return dmc.Badge(str(state), color=colour, variant="light", autoContrast=True)


def moment(at: datetime | None) -> Children:
    """A moment in the reader's own zone: the browser words it (assets/console.js)."""
    if at is None:
        return UNKNOWN
    return html.Time(f"{at:%Y-%m-%d %H:%M} UTC", dateTime=at.isoformat(timespec="seconds"))


def share(value: float | None) -> str:
    """A share as a percentage."""
    return UNKNOWN if value is None else f"{value:.0%}"


def figure(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def link(text: Children, *path: object) -> Component:
    """A link to a page of the console."""
    return dmc.Anchor(text, href=address(*path))


def address(*path: object) -> str:
    """The address of a page of the console."""
    return "/".join([ROOT, *map(str, path)]) if path else f"{ROOT}/"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[Children]], numbers: Sequence[str] = ()
) -> Component:
    """A table that scrolls sideways where the window is narrow. `numbers`: headings of columns that stand right."""
    right = {"textAlign": "right"}
    styles = [right if heading in numbers else {} for heading in headings]
    head = dmc.TableTr([dmc.TableTh(one, style=style) for one, style in zip(headings, styles, strict=True)])
    body = [
        dmc.TableTr([dmc.TableTd(cell, style=style) for cell, style in zip(row, styles, strict=True)])
        for row in rows
    ]
    return dmc.TableScrollContainer(
        dmc.Table([dmc.TableThead(head), dmc.TableTbody(body)], highlightOnHover=True, verticalSpacing="xs"),
        minWidth=600,
        type="native",
        tabIndex=0,
    )


def facts(*pairs: tuple[str, Children]) -> Component:
    """Names and what stands for them, one below the other."""
    rows = [[dmc.Text(name, size="sm", c="dimmed"), dmc.Text(value, size="sm")] for name, value in pairs]
    return dmc.SimpleGrid(
        [cell for row in rows for cell in row], cols=2, spacing="xs", verticalSpacing=4, className="facts"
    )


def run_progress(run: Run) -> Component:
    """A run that waits or is under way: stage, step, bar and time left."""
    if run.state == RunState.QUEUED:
        waits = "waits for more labels" if run.starts_by else "waits for the worker"
        return dmc.Text(f"Run {run.id} {waits}.", size="sm")
    done = 100 * run.step / run.steps if run.steps else 0
    steps = f", step {run.step:,} of {run.steps:,}" if run.steps else ""
    left = f", {run.eta} left" if run.eta else ""
    return dmc.Stack(
        [
            dmc.Text(f"Run {run.id}: {run.stage or run.state}{steps}{left}", size="sm"),
            dmc.ProgressRoot(
                dmc.ProgressSection(
                    value=done, **{"aria-label": f"run {run.id}"}, animated=True, striped=True
                )
            ),
        ],
        gap=4,
    )


def chart(figure: Any, height: int) -> Component:
    """A chart of charts.py, as wide as what it stands in and `height` pixels high."""
    return dcc.Graph(figure=figure, config=CHART, style={"height": f"{height}px"})


def action(text: str, name: str, project_id: int, of: str = "", **looks: Any) -> Component:
    """A button that asks, and then does what is called `name` in actions.py."""
    given = {"size": "compact-sm", "variant": "light"} | looks
    return dmc.Button(text, id={"role": "do", "action": name, "project": project_id, "of": of}, **given)


def live(name: str, content: Children, *args: object, seconds: float = 2.0) -> Component:
    """Content that is made anew every few seconds by what stands under `name` in pages/__init__.py."""
    key = "/".join(map(str, args))
    return html.Div(
        [
            html.Div(content, id={"role": "live", "name": name, "args": key}),
            dcc.Interval(id={"role": "tick", "name": name, "args": key}, interval=int(seconds * 1000)),
        ]
    )
