"""The settings that a project may have of its own, with their meaning, to be changed."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from prelabel.console.actions import ACTIONS
from prelabel.console.context import Context
from prelabel.console.frame import CONFIRM, confirmation
from prelabel.console.parts import Children, copyable, section
from prelabel.console.project_frame import project_page
from prelabel.overview.settings import PROJECT, SettingOverview, setting_overviews

CHANGE = "change setting"

NAMES = {
    "PRELABEL_TRAIN_EVERY": "New labels that start a run",
    "PRELABEL_TRAIN_GROWTH": "Growth that starts a run",
    "PRELABEL_TRAIN_MIN_LABELS": "Labels before the first run",
    "PRELABEL_TRAIN_INTERVAL": "Hours after which a run starts anyway",
    "PRELABEL_FROZEN_STAGES": "Frozen stages of the network",
    "PRELABEL_TRAIN_EPOCHS": "Epochs",
    "PRELABEL_LEARNING_RATE": "Learning rate",
    "PRELABEL_TRAIN_MIN_SIZE": "Shorter side of training images",
    "PRELABEL_TRAIN_MAX_SIZE": "Longer side of training images",
    "PRELABEL_STRATEGY": "Order of the tasks",
    "PRELABEL_RANDOM_SHARE": "Share of tasks drawn at random",
}
"""Variable -> what people call it."""


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/settings."""
    rows = [_row(project, one) for one in setting_overviews(context.settings, context.database, project)]
    note = dmc.Text(
        "They hold from the next run, or the next time that tasks are put in order. An empty field: the environment "
        "decides.",
        size="sm",
        c="dimmed",
    )
    command = copyable(f"prelabel settings show --project {project}")
    return project_page(
        context, project, "settings", section("Settings", note, dmc.Stack(rows, my="md"), command)
    )


def _row(project: int, one: SettingOverview) -> Component:
    field = dmc.TextInput(
        id={"role": "setting", "name": one.variable},
        label=f"{NAMES[one.variable]} ({one.variable})",
        description=f"{one.description} From: {one.source}.",
        value=one.value if one.source == PROJECT else "",
        placeholder=one.value or "not set",
        flex=1,
    )
    save = dmc.Button(
        "Save", id={"role": "save", "name": one.variable, "project": project}, variant="light", size="sm"
    )
    return dmc.Group([field, save], align="flex-end")


def register(app: Dash, context: Context) -> None:
    """Save asks as every button does."""

    @app.callback(
        Output(CONFIRM.dialog, "opened", allow_duplicate=True),
        Output(CONFIRM.content, "children", allow_duplicate=True),
        Output(CONFIRM.pending, "data", allow_duplicate=True),
        Input({"role": "save", "name": ALL, "project": ALL}, "n_clicks"),
        State({"role": "setting", "name": ALL}, "value"),
        State({"role": "setting", "name": ALL}, "id"),
        prevent_initial_call=True,
    )
    def ask(clicks: list[int | None], values: list[str | None], ids: list[dict[str, str]]) -> Any:
        pressed = ctx.triggered_id
        if not isinstance(pressed, dict) or not any(clicks):
            raise PreventUpdate
        given = {one["name"]: value for one, value in zip(ids, values, strict=True)}
        of = f"{pressed['name']}={(given[pressed['name']] or '').strip()}"
        action, project = ACTIONS[CHANGE], int(pressed["project"])
        wanted = {"action": CHANGE, "project": project, "of": of}
        return True, confirmation(action.question(project, of), action.command(project, of), False), wanted
