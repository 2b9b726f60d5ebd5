"""`prelabel stats`: what people did to the predictions of each version, and the time that these spared them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from prelabel.cli.common import ProjectId, errors_in_one_sentence, fail, settings_or_fail

if TYPE_CHECKING:
    from prelabel.labels.usefulness import Usefulness

# Versions are anybody's; brackets in them are no markup.
console = Console(markup=False, highlight=False)

HEADINGS = ("used", "kept", "changed", "added", "deleted", "no edit", "with", "without", "saved")


def stats(
    project: ProjectId,
    file: Annotated[Path | None, typer.Option("--json", help="File to write the figures to as well.")] = None,
) -> None:
    """Show what annotators kept, changed, added and deleted per model version, and estimate the time saved."""
    settings = settings_or_fail()
    from prelabel.labels.usefulness import effort_of, usefulness
    from prelabel.labelstudio.api.client import label_studio_client

    with errors_in_one_sentence(), console.status("reading the annotations"):
        found = usefulness(label_studio_client(settings), project, effort_of(settings))
    _print(found)
    if file:
        try:
            file.write_text(
                json.dumps(found.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
        except OSError as error:
            fail(f"{file} cannot be written: {error.strerror}")


def _print(found: Usefulness) -> None:
    if not found.versions:
        console.print("No annotation was made from a prediction yet.")
    else:
        console.print(_table(found))
        console.print("used: annotations made from its predictions; no edit: share of their regions.")
        console.print("Times are estimates, by the seconds per action in PRELABEL_SECONDS_*.")
    if found.by_hand:
        console.print(f"Annotations made from no prediction: {found.by_hand}")


def _table(found: Usefulness) -> Table:
    from prelabel.labels.usefulness import duration

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("version", overflow="fold", min_width=8)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for version, edits in found.versions.items():
        counts = (edits.kept, edits.changed, edits.added, edits.deleted)
        share = edits.no_edit_share
        taken, from_nothing = edits.seconds_with(found.effort), edits.seconds_without(found.effort)
        table.add_row(
            version,
            str(edits.annotations),
            *(str(count.total()) for count in counts),
            "-" if share is None else f"{share:.0%}",
            *map(duration, (taken, from_nothing, from_nothing - taken)),
        )
    return table
