"""Figures as tables, for the terminal and for a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

Cell = str | float | None


@dataclass
class Sheet:
    """A table: what its rows are in the first column, figures in the others."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """One more row."""
        self.rows.append(cells)

    def show(self) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*map(_text, row))
        Console(width=140).print(table)

    def markdown(self) -> str:
        """As a table for the docs."""
        rows = [self.columns, ("---", *["--:"] * (len(self.columns) - 1)), *self.rows]
        return "\n".join(f"| {' | '.join(map(_text, row))} |" for row in rows)

    def records(self) -> list[dict[str, Cell]]:
        """One dictionary per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def write(sheets: Iterable[Sheet], path: Path) -> None:
    """All figures, not rounded, by the titles of their tables."""
    path.write_text(json.dumps({sheet.title: sheet.records() for sheet in sheets}, indent=1) + "\n")


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:.0f}"
    return f"{cell:.3g}"
