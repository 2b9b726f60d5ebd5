"""`prelabel worker`: training runs in the background, without a server."""

from __future__ import annotations

from logging.config import dictConfig

import typer
from rich.console import Console

from prelabel.cli.common import errors_in_one_sentence, settings_or_fail
from prelabel.settings import unknown_variables


def worker() -> None:
    """Carry out training runs as they are requested, until Ctrl-C.

    `prelabel serve` starts a worker by itself; use this command beside `serve --no-worker`. A second worker for the
    same PRELABEL_HOME ends at once.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for sentence in unknown_variables():
        console.print(f"[yellow]warning:[/yellow] {sentence}")
    settings = settings_or_fail()

    from prelabel.logs import logging_config
    from prelabel.worker.worker import AnotherWorker, work

    dictConfig(logging_config(settings.log_level))
    with errors_in_one_sentence():
        try:
            work(settings)
        except AnotherWorker as error:
            console.print(f"Nothing to do: {error}.", markup=False)
            raise typer.Exit(0) from None
