"""`prelabel projects`: how each project that prelabel knows stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from prelabel.cli.common import console, errors_in_one_sentence, settings_or_fail

if TYPE_CHECKING:
    from prelabel.overview.projects import ProjectOverview

app = typer.Typer(help="How the projects that prelabel knows stand.", no_args_is_help=True)

HEADINGS = ("project", "answers", "new labels", "next run", "no edit", "versions")


@app.callback()
def projects() -> None:
    """How the projects that prelabel knows stand."""


@app.command("list")
def list_projects(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List every project that prelabel has heard of: what answers, new labels, and when the next run starts."""
    settings = settings_or_fail()
    from prelabel.overview.projects import project_overviews
    from prelabel.store.database import Database

    with errors_in_one_sentence():
        found = project_overviews(settings, Database.open(settings.database_url))
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in found]))
        return
    if not found:
        console.print("No project is known yet: `prelabel connect --project ID` connects one.")
        return
    table = Table(*HEADINGS, box=None)
    for one in found:
        share = one.no_edit_share
        table.add_row(
            str(one.project_id),
            one.answers,
            str(one.new_labels),
            one.next_run_in_words,
            "-" if share is None else f"{share:.0%}",
            str(len(one.versions)),
        )
    console.print(table)


def _as_json(one: ProjectOverview) -> dict[str, Any]:
    return {
        "project": one.project_id,
        "answers": one.answers,
        "new_labels": one.new_labels,
        "labels_until_next_run": one.next_run,
        "runs": [run.id for run in one.runs],
        "no_edit_share": one.no_edit_share,
        "versions": [version.name for version in one.versions],
    }
