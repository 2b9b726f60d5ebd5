"""The picture of label_errors.py: average precision by kind of error, a panel per data set, a bar per method."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from measuring.sheets import Sheet

#: Okabe and Ito's palette, which colour-blind people tell apart.
COLOURS = ("#0072B2", "#E69F00", "#F0C060", "#009E73", "#999999")
WIDTH = 0.16
ABOUT = 3
"""Columns of the sheet before the figures: data, seeds, method."""


def plot_precision(sheet: Sheet, file: Path) -> None:
    """Write a PNG of what `precision_sheet` gave."""
    sets = list(dict.fromkeys(str(row[0]) for row in sheet.rows))
    errors = sheet.columns[ABOUT:]
    figure = Figure(figsize=(11, 2.6 * ((len(sets) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(sets) + 1) // 2, 2, squeeze=False, sharey=True).flat
    for axes, name in zip(panels, sets, strict=False):
        rows = [row for row in sheet.rows if row[0] == name]
        for number, row in enumerate(rows):
            places = [place + (number - len(rows) / 2 + 0.5) * WIDTH for place in range(len(errors))]
            heights = [_average_precision(str(cell)) for cell in row[ABOUT:]]
            axes.bar(places, heights, WIDTH, color=COLOURS[number], label=str(row[2]))
        axes.set(title=name, ylim=(0, 1))
        axes.set_xticks(range(len(errors)), errors)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("average precision")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    figure.savefig(file, dpi=110)


def _average_precision(cell: str) -> float:
    """The first figure of a cell; 0 where a method has none."""
    return 0.0 if cell == "-" else float(cell.partition(" / ")[0])
