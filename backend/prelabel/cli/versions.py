"""`prelabel versions`: list and show the versions of projects, go back to one, export one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from prelabel.cli.common import ProjectId, errors_in_one_sentence
from prelabel.settings import Settings, load_settings

if TYPE_CHECKING:
    from fbnetv3.judging import HeadJudgement
    from prelabel.store.database import Database
    from prelabel.store.provisional import ProvisionalVersion
    from prelabel.versions.records import Version

app = typer.Typer(help="List, show, roll back and export the versions of projects.", no_args_is_help=True)
# Labels and reasons may hold brackets, which are no markup.
console = Console(markup=False, highlight=False)

FIGURES = {
    "images": "images",
    "box AP50": "box_AP50",
    "mask AP50": "mask_AP50",
    "no edit": "no_edit_share",
    "false": "false_positives_per_image",
}
"""Heading -> field of a Judgement: what the gate looks at, measured on the hold-out. They fit into 80 columns."""

CHOICES = "choices"
"""Heading of the share of answers about whole images that needed no click, where a version has any."""

BASE = "base"
SUFFIXES = (".pth", ".safetensors")

Name = Annotated[str, typer.Argument(help="Name of a version, such as p3-v7.")]


@app.command("list")
def list_versions(project: ProjectId) -> None:
    """List a project's versions with their figures on the hold-out, newest first."""
    from prelabel.store.provisional import provisional_version
    from prelabel.versions.records import file_problem, project_versions

    with _store() as (settings, database):
        versions = project_versions(database, project)
        serving = next((version for version in versions if version.state == "serving"), None)
        problem = file_problem(settings, serving) if serving else None
        early = provisional_version(database, project) if settings.prelabel_provisional else None
    table = Table(box=None, padding=(0, 1, 0, 0))
    facts = ("version", "state", "made (UTC)")
    headings = [*FIGURES, *([CHOICES] if any(_judged_choices(version) for version in versions) else [])]
    for heading in (*facts, *headings):
        table.add_column(heading, no_wrap=True, justify="left" if heading in facts else "right")
    for version in reversed(versions):
        made = f"{version.created_at:%Y-%m-%d %H:%M}"
        figures = _figures(version) | {CHOICES: _number(_right_choices(version))}
        table.add_row(version.name, version.state, made, *(figures[heading] for heading in headings))
    if versions:
        console.print(table)
    if early:
        console.print(
            f"{early.name} is provisional: {_made_of(early)}. It answers in the place of the base weights "
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
    with _store() as (settings, database):
        shown = [_shown(settings, database, name) for name in names]
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
                write_d2go(checkpoint, file, _steps(version))
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


def _shown(settings: Settings, database: Database, name: str) -> dict[str, str]:
    """What `show` says of a version of either kind."""
    from prelabel.store.provisional import is_provisional
    from prelabel.versions.provisional import named_provisional
    from prelabel.versions.records import file_problem, named_version

    if is_provisional(name):
        return _provisional_description(named_provisional(database, name))
    version = named_version(database, name)
    return _description(version, file_problem(settings, version))


def _provisional_description(version: ProvisionalVersion) -> dict[str, str]:
    return {
        "version": version.name,
        "state": "provisional, until the first promotion; no run made it, and no gate judged it",
        "made": f"{version.created_at:%Y-%m-%d %H:%M} UTC",
        "weights": f"a head of {version.sha256[:12]} on the base weights {version.base}",
        "made from": f"{version.images} labelled images ({version.made_from[:12]})",
        "labels": ", ".join(version.labels),
    }


def _made_of(version: ProvisionalVersion) -> str:
    images = "1 labelled image" if version.images == 1 else f"{version.images} labelled images"
    return f"made of {images} at {version.created_at:%Y-%m-%d %H:%M} UTC"


def _figures(version: Version) -> dict[str, str]:
    return {
        heading: _number(getattr(version.judgement.objects, name, None)) for heading, name in FIGURES.items()
    }


def _judged_choices(version: Version) -> Sequence[HeadJudgement]:
    """The figures of each choice."""
    choices = version.judgement.choices
    return choices.heads if choices else ()


def _right_choices(version: Version) -> float | None:
    """The share of answers on the hold-out that needed no click; None where there were none."""
    heads = _judged_choices(version)
    images = sum(head.images for head in heads)
    return sum(head.accuracy * head.images for head in heads) / images if images else None


def _choices(version: Version) -> dict[str, str]:
    """What `show` says of choices: which it answers, and how well."""
    answered = version.plan.choices.classes if version.plan.choices else {}
    rows = {f"choice {name}": ", ".join(classes) for name, classes in answered.items()}
    for head in _judged_choices(version):
        rows[f"{head.name}: no click"] = f"{head.accuracy:.3f} of {head.images} images"
        rows[f"{head.name}: clicks"] = (
            f"{head.clicks_per_image:.2f} per image, {head.clicks_without:.2f} without"
        )
    return rows


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _threshold(of_label: tuple[str, float]) -> str:
    label, threshold = of_label
    return f"{label} {threshold:g}" if threshold <= 1 else f"{label} never"


def _steps(version: Version) -> int:
    steps = version.plan.fine_tuning.get("steps")
    return steps if isinstance(steps, int) else 0


def _description(version: Version, problem: str | None) -> dict[str, str]:
    """What `show` says, a line each. `problem`: with the version's files."""
    facts = {
        "version": version.name,
        "state": version.state,
        "made": f"{version.created_at:%Y-%m-%d %H:%M} UTC",
        "run": "-" if version.run_id is None else str(version.run_id),
        "weights": version.digest if version.sha256 else f"{version.digest}, not kept",
        "snapshot": version.snapshot_digest,
        "labels": ", ".join(version.labels),
        "reason": version.reason,
    }
    if problem:
        facts["state"] += ", but the base weights answer in its place" if version.state == "serving" else ""
        facts["weights"] += f", but {problem}"
    if version.plan.thresholds:
        facts["shown from score"] = ", ".join(map(_threshold, version.plan.thresholds.items()))
    rest = replace(version.plan, choices=None, thresholds={})
    plan = {f"plan: {key}": str(value) for key, value in rest.as_dict().items()}
    return facts | _figures(version) | _choices(version) | plan
