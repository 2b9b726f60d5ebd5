"""What all forms of `prelabel simulate` share: what it tells while it runs, and what it writes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fbnetv3.simulation import Replay, RoundResult


@contextmanager
def shown(replay: Replay) -> Iterator[tuple[Replay, Callable[[str], None]]]:
    """The same replay, telling on stderr what it does; and what writes a line there."""
    console = Console(stderr=True)
    pool = len(replay.data.pool)
    if replay.settings.rounds[-1] > pool:
        console.print(f"There are {pool} images to label: larger rounds become {pool}.", highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")

        def say(text: str) -> None:
            progress.update(task, description=escape(text))

        def write(line: str) -> None:
            progress.console.print(escape(line), highlight=False, soft_wrap=True)

        def tell(result: RoundResult) -> None:
            end = "promoted" if result.promoted else "rejected"
            write(f"seed {result.seed}, {result.labels} labels: {end}. {result.reason}")

        yield replace(replay, on_round=tell, on_step=say), write


def circumstances(replay: Replay) -> dict[str, Any]:
    """What one must know to compare the figures with others."""
    settings = replay.settings.cut_to(len(replay.data.pool))
    return {
        "weights_digest": replay.start.digest,
        "model": replay.start.model,
        "images": {
            "to_label": len(replay.data.pool),
            "for_figures": len(replay.data.figures),
            "figures_from": replay.data.split,
        },
        "labels": list(replay.data.labels),
        "versions": {name: version(name) for name in ("prelabel", "torch")},
        "settings": json.loads(json.dumps(asdict(settings))),
    }


def write_json(content: dict[str, Any], file: Path) -> None:
    """For people too."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def tell_where(folder: Path, name: str) -> None:
    """On stderr, where the curves are."""
    Console(stderr=True).print(
        f"{folder}/{name}.json and {name}.png have the curves.", highlight=False, markup=False
    )


def figure(value: float | None, digits: int, by: int) -> str:
    """A table's cell."""
    return "-" if value is None else f"{value / by:.{digits}f}"
