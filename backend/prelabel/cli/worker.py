"""`prelabel worker`: trainings in the background, without a server."""

from __future__ import annotations

from logging.config import dictConfig

import typer
from rich.console import Console

from prelabel.cli.errors import fail
from prelabel.settings import SettingsError, load_settings, unknown_variables


def worker() -> None:
    """Run the trainings that are requested, until Ctrl-C.

    `prelabel serve` does this by itself; run it alone where `serve` has --no-worker. A second one for the same
    PRELABEL_HOME ends at once.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for sentence in unknown_variables():
        console.print(f"[yellow]warning:[/yellow] {sentence}")
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error))

    from prelabel.logs import logging_config
    from prelabel.store.database import StoreError
    from prelabel.worker.wake_up import QueueError
    from prelabel.worker.worker import AnotherWorker, work

    dictConfig(logging_config(settings.log_level))
    try:
        work(settings)
    except AnotherWorker as error:
        console.print(f"Nothing to do: {error}.", markup=False)
        raise typer.Exit(0) from None
    except (StoreError, QueueError) as error:
        fail(str(error))
