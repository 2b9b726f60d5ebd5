"""What commands share: how they end when something is wrong, settings, the option --project, progress, problems."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prelabel.errors import FORESEEN
from prelabel.ids import LARGEST_ID
from prelabel.settings import Settings, load_settings

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor
    from prelabel.labelstudio.api.client import LabelStudioClient
    from prelabel.publish.annotate import Summary, TaskProblem
    from prelabel.versions.own_versions import OwnVersions

# Titles, labels and addresses are the user's; brackets in them are no markup.
console = Console(markup=False, highlight=False, soft_wrap=True)

PROBLEMS_SHOWN = 20

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""

PROJECT = "Id of the project: the number in the address of its page in Label Studio."

WEIGHTS = "Weights to use: a name that `prelabel weights list` shows, or a file."

ENGINE = "Runtime of the network; auto takes ONNX Runtime on a CPU where it agrees with PyTorch."

ProjectId = Annotated[
    int,
    typer.Option("--project", min=1, max=LARGEST_ID, help=PROJECT),
]

BackendUrl = Annotated[
    str | None,
    typer.Option(
        "--url", help="Address at which Label Studio reaches prelabel (default: http://localhost:PORT)."
    ),
]


def fail(message: str) -> NoReturn:
    """Print `message` on stderr and end the command with exit code 1."""
    Console(stderr=True).print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


@contextmanager
def errors_in_one_sentence() -> Iterator[None]:
    """An error that was foreseen ends the command with its one sentence and exit code 1, without a traceback."""
    try:
        yield
    except FORESEEN as error:
        fail(str(error))


def settings_or_fail(**overrides: Any) -> Settings:
    """Those of the environment; see `load_settings`."""
    with errors_in_one_sentence():
        return load_settings(**overrides)


def own_settings_or_fail(project_id: int) -> Settings:
    """Those that hold for a project."""
    from prelabel.store.database import Database
    from prelabel.store.project_settings import project_settings

    settings = settings_or_fail()
    with errors_in_one_sentence():
        return project_settings(settings, Database.open(settings.database_url), project_id)


def open_project(
    settings: Settings, project_id: int, declared: Sequence[str] = (), *, provisional: bool = False
) -> tuple[LabelStudioClient, Predictor, OwnVersions]:
    """What pushes predictions into a project: of what serves it, whose own versions are known, `declared` ones too. A
    warning where the project's server serves another version. `provisional`: whether of a provisional version, too.
    """
    from prelabel.labelstudio.api.backends import attached_backends
    from prelabel.labelstudio.api.client import label_studio_client
    from prelabel.publish.shown_version import serving_note
    from prelabel.store.database import Database
    from prelabel.versions.loading import project_predictor
    from prelabel.versions.own_versions import OwnVersions

    client = label_studio_client(settings)
    backends = attached_backends(client, project_id)
    database = Database.open(settings.database_url)
    # What fails for one task is in the summary; in the log it would tear the progress bar apart.
    logging.getLogger("prelabel").addHandler(logging.NullHandler())
    with console.status("loading the weights"):
        predictor = project_predictor(settings, database, project_id, provisional=provisional)
    own = OwnVersions.of_project(
        settings, database, project_id, backends, predictor.version, declared=declared
    )
    warn([serving_note(backends, predictor.version)])
    return client, predictor, own


@contextmanager
def progress_bar() -> Iterator[Callable[[Summary], None]]:
    """A bar that takes summaries."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tasks,"),
        TimeRemainingColumn(),
        TextColumn("left,"),
        TextColumn("{task.fields[failed]} failed"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("predicting", total=None, failed=0)

        def show(summary: Summary) -> None:
            progress.update(bar, total=summary.total, completed=summary.done, failed=summary.failed)

        yield show


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C ends the command, and says that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped; what was pushed stays, and the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


def print_problems(problems: Sequence[TaskProblem]) -> None:
    """Tasks and reasons, a line each, not too many of them."""
    for problem in problems[:PROBLEMS_SHOWN]:
        console.print(f"  task {problem.task_id}: {problem.reason}", style="yellow")
    if (more := len(problems) - PROBLEMS_SHOWN) > 0:
        console.print(f"  and {more} more", style="yellow")


def warn(notes: Iterable[str | None]) -> None:
    """Print the notes that there are."""
    for note in notes:
        if note:
            console.print(f"warning: {note}", style="yellow")
