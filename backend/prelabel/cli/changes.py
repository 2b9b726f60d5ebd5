"""`prelabel changes`: what people changed by prelabel's pages."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from prelabel.cli.common import console, errors_in_one_sentence, settings_or_fail
from prelabel.ids import LARGEST_ID

HEADINGS = ("when", "who", "project", "what", "about", "result")


def changes(
    project: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_ID, help="Id of the project (default: all projects)."),
    ] = None,
) -> None:
    """List what people changed by the pages under /console/: who, when, and what came of it, newest first."""
    settings = settings_or_fail()
    from prelabel.store.actions import list_actions
    from prelabel.store.database import Database

    with errors_in_one_sentence():
        found = list_actions(Database.open(settings.database_url), project)
    if not found:
        console.print("Nothing was changed by the pages yet.")
        return
    table = Table(*HEADINGS, box=None)
    for one in found:
        at = f"{one.at.astimezone():%Y-%m-%d %H:%M}"
        about = "" if one.project_id is None else str(one.project_id)
        table.add_row(at, one.who, about, one.action, one.of, one.result)
    console.print(table)
