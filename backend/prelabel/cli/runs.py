"""`prelabel runs`: the state of training runs, their logs, and how to cancel one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from prelabel.cli.common import INTERRUPTED, console, errors_in_one_sentence, fail
from prelabel.ids import LARGEST_ID
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database

if TYPE_CHECKING:
    from prelabel.store.runs import Run

FOLLOW_SECONDS = 0.5
CHUNK = 1 << 16

app = typer.Typer(
    help="Training runs: which are queued or running, how others ended and why.", no_args_is_help=True
)

RunId = Annotated[
    int,
    typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the run in `prelabel runs list`."),
]


@app.command("list")
def list_(
    project: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST_ID, help="Id of the project whose runs to list (default: all projects)."
        ),
    ] = None,
) -> None:
    """List training runs, newest first."""
    from prelabel.store.runs import list_runs

    with _store() as (_, database):
        runs = list_runs(database, project)
    if not runs:
        console.print("There are no runs yet: docs/runs.md says what starts one.")
        return
    table = Table("run", "project", "state", "requested by", "requested", "version", "reason", box=None)
    for run in runs:
        standing = _standing(run)
        reason = run.reason or ""
        table.add_row(
            str(run.id),
            str(run.project_id),
            standing,
            run.requested_by,
            _local(run.requested_at),
            run.version or "",
            reason,
        )
    console.print(table)


@app.command()
def show(run_id: RunId) -> None:
    """Show the state, the reason, the times and the log file of a training run."""
    from prelabel.folders import LOG, run_folder
    from prelabel.store.runs import get_run

    with _store() as (settings, database):
        run = get_run(database, run_id)
    facts = {
        "project": str(run.project_id),
        "state": _standing(run),
        "reason": run.reason,
        "requested": f"{_local(run.requested_at)} by {run.requested_by}",
        "started": _local(run.started_at),
        "finished": _local(run.finished_at),
        "labelled tasks": run.accepted and str(run.accepted),
        "snapshot": run.snapshot_digest,
        "version": run.version,
        "log": str(run_folder(settings, run) / LOG),
    }
    for name, value in facts.items():
        if value:
            console.print(f"{name:<15}{value}")


@app.command()
def cancel(run_id: RunId) -> None:
    """Cancel a run that is queued or running, which discards what it has learned; a failed one is not tried again."""
    from prelabel.store.runs import RunState
    from prelabel.worker.supervision import cancel_run

    with _store() as (settings, database):
        run = cancel_run(settings, database, run_id)
    said = {
        RunState.CANCELLED: f"Run {run_id} is cancelled.",
        RunState.FAILED: f"Run {run_id} is not tried again by itself.",
    }
    console.print(said.get(RunState(run.state), f"Run {run_id} is being ended by its worker."))


@app.command()
def log(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", help="Keep printing until the run has ended.")] = False,
) -> None:
    """Print the log of a training run."""
    from prelabel.folders import LOG, run_folder
    from prelabel.store.runs import get_run

    with _store() as (settings, database):
        run = get_run(database, run_id)
        file = run_folder(settings, run) / LOG
        if not follow and not file.exists():
            fail(f"Run {run_id} is {run.state} and has no log on this machine, {file}.")
        try:
            for text in _followed(database, run_id, file) if follow else _pieces(file, 0):
                console.print(text.decode(errors="replace"), end="")
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _followed(database: Database, run_id: int, file: Path) -> Iterator[bytes]:
    """What the log has and gets, until the run has ended."""
    from prelabel.store.runs import ENDS, get_run

    seen = 0
    while True:
        ended = get_run(database, run_id).state in ENDS  # asked before reading: its last words are read after
        for piece in _pieces(file, seen):
            seen += len(piece)
            yield piece
        if ended:
            return
        time.sleep(FOLLOW_SECONDS)


def _pieces(file: Path, offset: int) -> Iterator[bytes]:
    """The file from this byte on, in whole lines."""
    if not file.exists():
        return
    with file.open("rb") as stream:
        stream.seek(offset)
        while lines := stream.readlines(CHUNK):
            yield b"".join(lines)


def _standing(run: Run) -> str:
    if run.retry_at:
        return f"{run.state}, tried again {_when(run.retry_at)}"
    if run.state == "queued" and run.starts_by and (left := run.starts_by - datetime.now(UTC)) > timedelta():
        return f"queued: waits for more labels, {left.total_seconds():.0f} s at most"
    if run.state != "running":
        return run.state
    steps = f" {run.step}/{run.steps}" if run.steps else ""
    eta = f", {run.eta} left" if run.eta else ""
    return f"running: {run.stage}{steps}{eta}"


def _when(moment: datetime) -> str:
    local = moment.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"at {local:%H:%M}" if is_today else f"on {local:%Y-%m-%d at %H:%M}"


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


@contextmanager
def _store() -> Iterator[tuple[Settings, Database]]:
    with errors_in_one_sentence():
        settings = load_settings()
        database = Database.open(settings.database_url)
        try:
            yield settings, database
        finally:
            database.close()
