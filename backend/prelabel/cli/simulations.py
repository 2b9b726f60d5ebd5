"""How `prelabel simulate` plays one order, or several beside each other: what it tells, writes and shows."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fbnetv3.simulation import OrderComparison, Replay, RoundResult


#: Of one order: heading, key, digits, divided by.
COLUMNS = (
    ("labels", "labels", 0, 1),
    ("objects", "objects", 0, 1),
    ("box\nAP50", "box_AP50", 3, 1),
    ("mask\nAP50", "mask_AP50", 3, 1),
    ("mask\nAP", "mask_AP", 3, 1),
    ("no\nedit", "no_edit_share", 3, 1),
    ("false\npos.", "false_positives_per_image", 2, 1),
    ("training\ns", "train_seconds", 0, 1),
    ("person\nmin", "person_seconds", 1, 60),
    ("without\nmin", "person_seconds_without", 1, 60),
)

OF_ONE_ORDER = {"labels", "mask_AP", "false_positives_per_image", "train_seconds"}
#: Of several orders.
ORDER_COLUMNS = tuple(column for column in COLUMNS if column[1] not in OF_ONE_ORDER)


def play(replay: Replay, names: dict[str, str]) -> None:
    """Play the order of the settings; write simulate.json and simulate.png, and print a table with a row per round."""
    from fbnetv3.simulation import report
    from fbnetv3.simulation.plot import plot

    with _shown(replay) as (telling, _):
        start, results = telling.run()
    settings = replay.settings
    content = {**names, **_circumstances(replay), **report(start, results)}
    _write_json(content, replay.folder / "simulate.json")
    runs = "1 seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
    title = f"{Path(names['data']).parent.name}, {names['weights']}, {settings.order} order, {runs}"
    plot(content, replay.folder / "simulate.png", title)
    _show(content, title)
    _tell_where(replay.folder, "simulate")


def _show(content: dict[str, Any], title: str) -> None:
    caption = "means over the seeds; false positives per image; a person's minutes so far are estimates"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for heading, *_ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in (content["start"], *content["rounds"]):
        table.add_row(*(_figure(one.get(key), digits, by) for _, key, digits, by in COLUMNS))
    Console().print(table)


def compare(comparison: OrderComparison, names: dict[str, str]) -> None:
    """Play all orders; write compare.json and compare.png, and print a table with a part for each round."""
    from fbnetv3.simulation.order_comparison_plot import plot_comparison

    replay = comparison.replay
    with _shown(replay) as (telling, write):
        told = replace(comparison, replay=telling, on_order=lambda order: write(f"{order}:"))
        reports = told.run()
    _write_json({**names, **_circumstances(replay), "orders": reports}, replay.folder / "compare.json")
    seeds = replay.settings.seeds
    runs = "1 seed" if seeds == 1 else f"{seeds} seeds"
    title = f"{Path(names['data']).parent.name}, {names['weights']}, {runs}"
    plot_comparison(reports, replay.folder / "compare.png", title)
    _show_orders(reports, title)
    _tell_where(replay.folder, "compare")


def _show_orders(reports: dict[str, dict[str, Any]], title: str) -> None:
    caption = "means over the seeds; a person's minutes so far are estimates"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for heading in ("labels", "order", *(heading for heading, *_ in ORDER_COLUMNS)):
        table.add_column(heading, justify="left" if heading == "order" else "right", no_wrap=True)
    for place, first in enumerate(next(iter(reports.values()))["rounds"]):
        table.add_section()
        for order, report in reports.items():
            one = report["rounds"][place]
            cells = [_figure(one[key], digits, by) for _, key, digits, by in ORDER_COLUMNS]
            table.add_row(str(first["labels"]), order, *cells)
    Console().print(table)


@contextmanager
def _shown(replay: Replay) -> Iterator[tuple[Replay, Callable[[str], None]]]:
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
            ended = f"{'promoted' if result.promoted else 'rejected'}. " if result.is_trained else ""
            write(f"seed {result.seed}, {result.labels} labels: {ended}{result.reason}")

        yield replace(replay, on_round=tell, on_step=say), write


def _circumstances(replay: Replay) -> dict[str, Any]:
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


def _write_json(content: dict[str, Any], file: Path) -> None:
    """For people too."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tell_where(folder: Path, name: str) -> None:
    """On stderr, where the curves are."""
    Console(stderr=True).print(
        f"{folder}/{name}.json and {name}.png have the curves.", highlight=False, markup=False
    )


def _figure(value: float | None, digits: int, by: int) -> str:
    """A table's cell."""
    return "-" if value is None else f"{value / by:.{digits}f}"
