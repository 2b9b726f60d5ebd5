"""`prelabel serve`: the ML backend, until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from prelabel.cli.common import WEIGHTS, errors_in_one_sentence, settings_or_fail
from prelabel.settings import unknown_variables


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PORT].")] = None,
    weights: Annotated[str | None, typer.Option(help=f"{WEIGHTS} [PRELABEL_WEIGHTS]")] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of the network: cpu, cuda, cuda:N or mps [DEVICE].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes, each with a model of its own [WORKERS].")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Requests that one process answers at a time [THREADS].")
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="Least severe messages to log: DEBUG, INFO, WARNING or ERROR [LOG_LEVEL]."),
    ] = None,
    worker: Annotated[
        bool | None,
        typer.Option(
            "--worker/--no-worker",
            help="Whether to carry out training runs in the background, too [PRELABEL_WORKER].",
        ),
    ] = None,
) -> None:
    """Serve predictions to Label Studio, until Ctrl-C.

    All settings are environment variables, see docs/settings.md. An option overrides the variable in brackets.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for sentence in unknown_variables():
        console.print(f"[yellow]warning:[/yellow] {sentence}")
    settings = settings_or_fail(
        host=host,
        port=port,
        prelabel_weights=weights,
        device=device,
        workers=workers,
        threads=threads,
        log_level=log_level,
        prelabel_worker=worker,
    )
    from prelabel.server.process import serve as run

    with errors_in_one_sentence():
        run(settings)
