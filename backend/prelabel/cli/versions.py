"""`prelabel versions`: list and show the versions of projects, go back to one, export one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from prelabel.cli.common import ProjectId, errors_in_one_sentence
from prelabel.settings import Settings, load_settings

if TYPE_CHECKING:
    from prelabel.store.database import Database

app = typer.Typer(help="List, show, roll back and export the versions of projects.", no_args_is_help=True)
# Labels and reasons may hold brackets, which are no markup.
console = Console(markup=False, highlight=False)

CHOICES = "choices"
"""Heading of the share of answers about whole images that needed no click, where a version has any."""

SUFFIXES = (".pth", ".safetensors")

Name = Annotated[str, typer.Argument(help="Name of a version, such as p3-v7.")]


@app.command("list")
def list_versions(project: ProjectId) -> None:
    """List a project's versions with their figures on the hold-out, newest first."""
    from prelabel.store.provisional import provisional_version
    from prelabel.versions.describing import (
        FIGURES,
        figures_of,
        judged_choices,
        made_of,
        number_in_words,
        right_choices,
    )
    from prelabel.versions.records import file_problem, project_versions

    with _store() as (settings, database):
        versions = project_versions(database, project)
        serving = next((version for version in versions if version.state == "serving"), None)
        problem = file_problem(settings, serving) if serving else None
        early = provisional_version(database, project) if settings.prelabel_provisional else None
    table = Table(box=None, padding=(0, 1, 0, 0))
    facts = ("version", "state", "made (UTC)")
    headings = [*FIGURES, *([CHOICES] if any(judged_choices(version) for version in versions) else [])]
    for heading in (*facts, *headings):
        table.add_column(heading, no_wrap=True, justify="left" if heading in facts else "right")
    for version in reversed(versions):
        made = f"{version.created_at:%Y-%m-%d %H:%M}"
        figures = figures_of(version) | {CHOICES: number_in_words(right_choices(version))}
        table.add_row(version.name, version.state, made, *(figures[heading] for heading in headings))
    if versions:
        console.print(table)
    if early:
        console.print(
            f"{early.name} is provisional: {made_of(early)}. It answers in the place of the base weights "
            f"{early.base} until the first promotion.",
            soft_wrap=True,
        )
    elif serving is None:
        console.print(f"Project {project} is served by the base weights.")
    if serving and problem:
        console.print(
            f"The base weights answer in the place of {serving.name}: {problem}. Put the file back, or have another "
            f"version serve with `prelabel versions rollback --project {project}`.",
            style="yellow",
            soft_wrap=True,
        )


@app.command()
def show(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Name of a version, such as p3-v7.")],
) -> None:
    """Show everything known about a version; several are shown side by side."""
    from prelabel.versions.describing import described

    with _store() as (settings, database):
        shown = [described(settings, database, name) for name in names]
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True)
    for _ in shown:
        table.add_column(overflow="fold")
    for row in dict.fromkeys(row for description in shown for row in description):
        table.add_row(row, *(description.get(row, "") for description in shown))
    console.print(table)


@app.command()
def rollback(
    project: ProjectId,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Version to go back to, or `base` for the base weights (default: the version that served before)."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Reason to record with the promotion.")] = "rolled back by hand",
) -> None:
    """Make an earlier version serve a project again, on all servers and in Label Studio."""
    from prelabel.labelstudio.api.client import label_studio_client
    from prelabel.labelstudio.errors import LabelStudioError
    from prelabel.publish.promotion import previous_version, roll_back
    from prelabel.store.versions import BASE
    from prelabel.versions.records import named_version

    with _store() as (settings, database):
        if name is None:
            version = previous_version(database, project)
        else:
            version = None if name == BASE else named_version(database, name)
        try:
            client = label_studio_client(settings)
        except LabelStudioError as error:
            client = None
            console.print(f"warning: Label Studio is not told: {error}", style="yellow", soft_wrap=True)
        changes = roll_back(settings, database, client, project, version, reason)
    console.print("\n".join(changes or ["nothing had to be changed"]), soft_wrap=True)
    if changes:
        console.print(
            "A running prelabel refreshes the predictions of unlabelled tasks; so does "
            f"`prelabel annotate --project {project}`.",
            soft_wrap=True,
        )


@app.command()
def export(
    name: Name,
    out: Annotated[
        Path, typer.Option(help="Folder or file to write to; a file name ends in .pth or .safetensors.")
    ],
) -> None:
    """Write the weights of a version to a d2go checkpoint (.pth) and a file of prelabel's own format (.safetensors).

    That one carries the version's operating point and calibration. Into a folder it also writes the heads that answer
    its choices.
    """
    from fbnetv3.classification.heads_file import write_heads
    from fbnetv3.judging.carried import carrying
    from fbnetv3.weights import write_checkpoint
    from fbnetv3.weights.d2go import write_d2go
    from prelabel.versions.records import (
        named_version,
        version_calibration,
        version_checkpoint,
        version_heads,
        version_thresholds,
    )

    files = [out] if out.suffix in SUFFIXES else [out / f"{name}{suffix}" for suffix in SUFFIXES]
    with _store() as (settings, database):
        version = named_version(database, name)
        checkpoint = carrying(
            version_checkpoint(settings, version), version_calibration(version), version_thresholds(version)
        )
        for file in files:
            if file.suffix == ".pth":
                write_d2go(checkpoint, file, version.plan.steps)
            else:
                write_checkpoint(checkpoint, file)
        if (heads := version_heads(settings, version)) and out not in files:
            files.append(out / f"{name}.heads.safetensors")
            write_heads(heads, files[-1])
    for file in files:
        console.print(f"wrote {file}", soft_wrap=True)
    console.print(
        f"model {checkpoint.model}, labels in order: {', '.join(checkpoint.labels)}", soft_wrap=True
    )


@contextmanager
def _store() -> Iterator[tuple[Settings, Database]]:
    """Settings and store; what goes wrong with them or with a version ends the command in one sentence."""
    from prelabel.store.database import Database

    with errors_in_one_sentence():
        settings = load_settings()
        yield settings, Database.open(settings.database_url)
