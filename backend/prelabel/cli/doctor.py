"""`prelabel doctor`: what is wrong between the settings and the predictions that annotators see."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from prelabel.cli.common import BackendUrl, ProjectId, console, fail
from prelabel.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from prelabel.connect.doctor import CheckedLink

STATUS_STYLE = {"ok": "green", "warning": "yellow", "broken": "bold red", "not checked": "dim"}


def doctor(
    project: ProjectId,
    url: BackendUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list of the links instead, and end with exit code 0.")
    ] = False,
) -> None:
    """Check every link from the settings to the predictions that annotators see, and say how to mend a broken one."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(f"settings: {error}")
    from prelabel.connect.doctor import Examination, Status, examine

    if as_json:
        typer.echo(json.dumps([asdict(link) for link in examine(Examination(settings, project, url))]))
        return
    broken = 0
    for link in examine(Examination(settings, project, url)):
        _print_link(link)
        broken += link.status is Status.BROKEN
    if broken:
        fail(f"{broken} of the links above {'is' if broken == 1 else 'are'} broken; begin with the first.")


def _print_link(link: CheckedLink) -> None:
    line = Text(f"{link.status:<12}", STATUS_STYLE[link.status])
    console.print(line.append(f"{link.link:<18}", "bold").append(link.detail, "default"))
    if link.remedy:
        console.print(f"{'':<12}-> {link.remedy}")
