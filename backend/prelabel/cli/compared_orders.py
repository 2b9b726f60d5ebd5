"""`prelabel simulate --order S`: what a strategy comes to, always beside the random order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from prelabel.cli.simulations import circumstances, figure, shown, tell_where, write_json

if TYPE_CHECKING:
    from fbnetv3.simulation import Comparison

#: Heading, key, digits, divided by.
COLUMNS = (
    ("objects", "objects", 0, 1),
    ("box\nAP50", "box_AP50", 3, 1),
    ("mask\nAP50", "mask_AP50", 3, 1),
    ("no\nedit", "no_edit_share", 3, 1),
    ("person\nmin", "person_seconds", 1, 60),
    ("without\nmin", "person_seconds_without", 1, 60),
)


def compare(comparison: Comparison, names: dict[str, str]) -> None:
    """Play all orders; write compare.json and compare.png, and print a table with a part for each round."""
    from fbnetv3.simulation.comparison_plot import plot_comparison

    replay = comparison.replay
    with shown(replay) as (telling, write):
        told = replace(comparison, replay=telling, on_order=lambda order: write(f"{order}:"))
        reports = told.run()
    write_json({**names, **circumstances(replay), "orders": reports}, replay.folder / "compare.json")
    seeds = replay.settings.seeds
    runs = "1 seed" if seeds == 1 else f"{seeds} seeds"
    title = f"{Path(names['data']).parent.name}, {names['weights']}, {runs}"
    plot_comparison(reports, replay.folder / "compare.png", title)
    _show(reports, title)
    tell_where(replay.folder, "compare")


def _show(reports: dict[str, dict[str, Any]], title: str) -> None:
    caption = "means over the seeds; a person's minutes so far are estimates"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for heading in ("labels", "order", *(heading for heading, *_ in COLUMNS)):
        table.add_column(heading, justify="left" if heading == "order" else "right", no_wrap=True)
    for place, first in enumerate(next(iter(reports.values()))["rounds"]):
        table.add_section()
        for order, report in reports.items():
            one = report["rounds"][place]
            cells = [figure(one[key], digits, by) for _, key, digits, by in COLUMNS]
            table.add_row(str(first["labels"]), order, *cells)
    Console().print(table)
