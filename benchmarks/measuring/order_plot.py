"""The picture of active_learning.py: a row per data set, AP50 and a person's minutes across images and objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fbnetv3.simulation.order_comparison_plot import AXES, FIGURES, draw_panel


def plot_orders(folders: Sequence[Path], file: Path) -> None:
    """Write a PNG of what `prelabel simulate --order` left in these folders when it was done."""
    columns = [(across, key) for key in FIGURES for across in AXES]
    figure = Figure(figsize=(4 * len(columns), 3 * len(folders)), layout="constrained")
    grid = figure.subplots(len(folders), len(columns), squeeze=False)
    for row, folder in zip(grid, folders, strict=True):
        reports = json.loads((folder / "compare.json").read_text(encoding="utf-8"))["orders"]
        for axes, (across, key) in zip(row, columns, strict=True):
            draw_panel(axes, reports, across, key, FIGURES[key][1])
            axes.set_xlabel(AXES[across])
        row[0].set_ylabel(folder.name, fontsize="large")
    for axes, (_, key) in zip(grid[0], columns, strict=True):
        axes.set_title(FIGURES[key][0], fontsize="medium")
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(file, dpi=80)
