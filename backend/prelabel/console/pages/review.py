"""Labels that look wrong, with a picture of what is there and one of what should be, to be accepted or dismissed."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from prelabel.console.actions import carry_out
from prelabel.console.context import Context
from prelabel.console.frame import CONFIRM
from prelabel.console.parts import Children, action, address, copyable, empty, live, section
from prelabel.console.project_frame import project_page
from prelabel.console.running_job import job_part
from prelabel.review.decisions import StoreMemory
from prelabel.review.findings import ReviewFinding

MOST_SHOWN = 60

EVERYTHING = "everything"
KINDS, LABELS, LIST, PROJECT = "finding-kinds", "finding-labels", "findings", "findings-project"


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/review."""
    found = findings(context, project)
    buttons = dmc.Group(
        [
            action("Review now", "review labels", project),
            action("Quick review", "review labels", project, "quick", variant="subtle"),
        ]
    )
    parts = [
        dcc.Store(id=PROJECT, data=project),
        live("review", job(context, str(project)), project, seconds=3),
        section(
            "Labels that look wrong",
            *_filters(found),
            html.Div(cards(context, project, found), id=LIST),
            aside=buttons,
        ),
    ]
    return project_page(context, project, "review", dmc.Stack(parts))


def job(context: Context, project: str) -> Children:
    """The review that is at work, or was."""
    return job_part(context, int(project), "review")


def findings(context: Context, project_id: int) -> list[ReviewFinding]:
    """Those of the last review that nobody dismissed, the surest first."""
    known = StoreMemory(context.database, project_id).recall().values()
    open_ones = (one for one in known if one.is_current and one.decision != "dismissed")
    return sorted((one.finding for one in open_ones), key=lambda finding: -finding.confidence)


def _filters(found: list[ReviewFinding]) -> list[Component]:
    kinds = [EVERYTHING, *dict.fromkeys(one.title for one in found)]
    labels = sorted({label for one in found for label in _labels(one)})
    chips = dmc.ChipGroup(
        [dmc.Chip(kind, value=kind, size="xs") for kind in kinds], id=KINDS, value=EVERYTHING
    )
    chosen = dmc.MultiSelect(
        data=labels, id=LABELS, placeholder="all labels", size="xs", clearable=True, w=260
    )
    return [dmc.Group([chips, chosen], gap="xs", mb="md")]


def cards(
    context: Context,
    project_id: int,
    found: list[ReviewFinding],
    kind: str = EVERYTHING,
    labels: list[str] | None = None,
) -> Children:
    """A card per finding of this kind and these labels."""
    command = f"prelabel review --project {project_id}"
    if not found:
        return empty("Nothing looks wrong, or no review was made yet.", command)
    wanted = [
        one
        for one in found
        if kind in (EVERYTHING, one.title) and (not labels or set(labels) & set(_labels(one)))
    ]
    decided = {
        one.finding.id: one.decision for one in StoreMemory(context.database, project_id).recall().values()
    }
    shown = [_card(context, project_id, one, decided.get(one.id)) for one in wanted[:MOST_SHOWN]]
    number = "1 finding" if len(wanted) == 1 else f"{len(wanted)} findings"
    keys = "Key a accepts the first that is open, d dismisses it."
    said = f"{number}, the surest first; {len(shown)} shown. {keys}"
    count = dmc.Text(said, size="sm", c="dimmed")
    return [count, dmc.SimpleGrid(shown, cols={"base": 1, "lg": 2}, my="sm"), copyable(command)]


def _card(context: Context, project_id: int, one: ReviewFinding, decision: str | None) -> Component:
    heading = dmc.Group(
        [
            dmc.Text(one.title, fw=600),
            dmc.Text(one.correction),
            dmc.Badge(f"{one.confidence:.0%} sure", variant="light", autoContrast=True),
            *([dmc.Badge(decision, color="green", variant="light")] if decision else []),
        ],
        gap="xs",
    )
    pictures = [
        html.Figure(
            [
                html.Img(
                    src=address("pictures", "findings", project_id, f"{one.id}-{which}.jpg"),
                    alt=f"{one.title}, {caption}",
                    className="picture",
                ),
                html.Figcaption(dmc.Text(caption, size="xs", c="dimmed")),
            ],
            className="plain",
        )
        for which, caption in enumerate(("as labelled", "as it should be"))
    ]
    task = one.image_ref.task
    buttons = [
        _decide("accept", one.id, **({} if decision else {"data-key": "a"})),
        _decide("dismiss", one.id, color="gray", **({} if decision else {"data-key": "d"})),
    ]
    if task is not None:
        buttons.append(
            dmc.Anchor(f"task {task}", href=context.address(project_id, task), target="_blank", size="sm")
        )
    return dmc.Card(
        [heading, dmc.SimpleGrid(pictures, cols=2, my="xs"), dmc.Group(buttons, gap="xs")], withBorder=True
    )


def _labels(one: ReviewFinding) -> list[str]:
    return [*one.labels, *([one.label] if one.label else [])]


def _decide(name: str, of: str, **looks: Any) -> Component:
    """A button that decides about a finding at once: a decision can be changed, and there are many."""
    looks = {"size": "compact-sm", "variant": "light"} | looks
    return dmc.Button(
        name.capitalize(), id={"role": "decide", "action": f"{name} finding", "of": of}, **looks
    )


def register(app: Dash, context: Context) -> None:
    """The filters, decisions, and the list after any of them."""

    @app.callback(
        Output(LIST, "children"),
        Output(CONFIRM.told, "sendNotifications", allow_duplicate=True),
        Input(KINDS, "value"),
        Input(LABELS, "value"),
        Input({"role": "tick", "name": "review", "args": ALL}, "n_intervals"),
        Input({"role": "decide", "action": ALL, "of": ALL}, "n_clicks"),
        State(PROJECT, "data"),
        prevent_initial_call=True,
    )
    def choose(kind: str | None, labels: list[str] | None, _: Any, clicks: Any, project: int) -> Any:
        notes: Any = no_update
        pressed = ctx.triggered_id
        if isinstance(pressed, dict) and pressed["role"] == "decide":
            if not any(one["value"] for one in ctx.triggered):
                raise PreventUpdate
            notes = [carry_out(context, pressed["action"], int(project), pressed["of"])]
        found = findings(context, int(project))
        return cards(context, int(project), found, kind or EVERYTHING, labels), notes
