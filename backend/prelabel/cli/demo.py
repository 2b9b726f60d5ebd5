"""`prelabel demo`: a Label Studio with pre-labelled images on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from prelabel.cli.common import errors_in_one_sentence

if TYPE_CHECKING:
    from prelabel.demo.run import Demo

PROGRAM = Path(".venv-labelstudio/bin/label-studio")
DATA = Path(".demo")


def demo(
    label_studio: Annotated[
        Path, typer.Option(help="Path of the label-studio program.", metavar="FILE")
    ] = PROGRAM,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with images to show instead of generated scenes.",
            envvar="DEMO_IMAGES",
            metavar="FOLDER",
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder that keeps the project, the predictions, weights and logs.", metavar="FOLDER"
        ),
    ] = DATA,
    templates: Annotated[
        Path | None,
        typer.Option(
            help="Folder for empty Label Studio databases, which are slow to make (default: in --data).",
            metavar="FOLDER",
        ),
    ] = None,
    label_studio_port: Annotated[
        int, typer.Option(help="Port of Label Studio; another one if it is taken.")
    ] = 8080,
    prelabel_port: Annotated[int, typer.Option(help="Port of prelabel; another one if it is taken.")] = 9090,
    once: Annotated[
        bool, typer.Option("--once", help="Stop as soon as all images are pre-labelled.")
    ] = False,
) -> None:
    """Start Label Studio and prelabel on this machine, with a project of pre-labelled images.

    Everything is kept for the next start. Ctrl-C stops both programs.
    """
    from prelabel.demo.run import DemoOptions, running_demo

    _end_on_signals()
    console = Console(highlight=False, soft_wrap=True)
    options = DemoOptions(
        label_studio,
        data,
        templates or data / "templates",
        images.expanduser() if images else None,
        label_studio_port,
        prelabel_port,
    )
    with _readable_end(console), running_demo(options, console) as running:
        console.print(_announcement(running))
        if not once:
            running.watch()


def _end_on_signals() -> None:
    """End as on Ctrl-C also when asked otherwise: a closed terminal must not leave two servers behind.

    What nohup has us ignore stays ignored; a script has its background jobs ignore Ctrl-C, but we need it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _announcement(running: Demo) -> Panel:
    from prelabel.demo.account import EMAIL, PASSWORD

    table = Table.grid(padding=(0, 3))
    table.add_row("Label Studio", f"[bold]{running.url}[/bold]")
    table.add_row("", "click an image to see its boxes and masks")
    table.add_row("e-mail", EMAIL)
    table.add_row("password", PASSWORD)
    table.add_row("see it learn", f"{running.prelabel.url}/console/")
    table.add_row("logs", f"{running.label_studio.log}, {running.prelabel.log}")
    return Panel(table, title="Open the project in a browser", subtitle="Ctrl-C stops both", expand=False)


@contextmanager
def _readable_end(console: Console) -> Iterator[None]:
    """Ctrl-C is how the demo ends; what a person can mend is told in one sentence."""
    try:
        with errors_in_one_sentence():
            yield
    except KeyboardInterrupt:
        console.print("Both are stopped; the next start brings everything back.")
