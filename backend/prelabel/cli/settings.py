"""`prelabel settings`: the settings that a project may have of its own."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.table import Table

from prelabel.cli.common import ProjectId, console, errors_in_one_sentence, settings_or_fail

app = typer.Typer(help="Settings that a project has of its own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the variable, such as PRELABEL_TRAIN_EVERY.")]


@app.command()
def show(project: ProjectId) -> None:
    """Show the settings that a project may have of its own: what holds, and where that comes from."""
    settings = settings_or_fail()
    from prelabel.overview.settings import setting_overviews
    from prelabel.store.database import Database

    table = Table("setting", "value", "from", box=None)
    with errors_in_one_sentence():
        for one in setting_overviews(settings, Database.open(settings.database_url), project):
            table.add_row(one.variable, one.value or "not set", one.source)
    console.print(table)


@app.command("set")
def set_(
    project: ProjectId, name: Name, value: Annotated[str, typer.Argument(help="What holds from now on.")]
) -> None:
    """Give a project a value of its own, which holds from its next run or refresh on."""
    _change(project, name, value)
    console.print(f"{name.upper()} is {value} for project {project} from now on.")


@app.command()
def unset(project: ProjectId, name: Name) -> None:
    """Have the environment decide again."""
    _change(project, name, None)
    console.print(f"The environment decides {name.upper()} for project {project} again.")


def _change(project: int, name: str, value: str | None) -> None:
    settings = settings_or_fail()
    from prelabel.store.database import Database
    from prelabel.store.project_settings import set_project_setting

    with errors_in_one_sentence():
        set_project_setting(Database.open(settings.database_url), project, name, value, getpass.getuser())
