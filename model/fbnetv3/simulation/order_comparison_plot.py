"""Several orders' curves in one picture: the mean of each over the seeds, the random one's seeds as a band."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbnetv3.simulation.order_comparison import BASELINE

#: Okabe and Ito's palette, which colour-blind people tell apart, and two more for its yellow; the baseline is black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888", "#7B3F00")
MARKERS = "osv^DxP*"

AXES = {"labels": "labelled images", "objects": "labelled objects"}
FIGURES = {
    "box_AP50": ("AP50 of boxes", 1),
    "person_seconds": ("A person's minutes so far, estimated", 60),
}


def plot_comparison(reports: Mapping[str, dict[str, Any]], file: Path, title: str) -> None:
    """Write a PNG of {order: what `report` gave}. Raises OSError when the disk refuses."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(len(FIGURES), len(AXES))
    for row, (key, (heading, scale)) in zip(grid, FIGURES.items(), strict=True):
        for axes, (across, name) in zip(row, AXES.items(), strict=True):
            draw_panel(axes, reports, across, key, scale)
            axes.set(title=heading, xlabel=name)
    grid[0][0].legend(frameon=False, fontsize="small")
    figure.savefig(file, dpi=110)


def draw_panel(
    axes: Axes, reports: Mapping[str, dict[str, Any]], across: str, key: str, scale: float
) -> None:
    """One figure of the rounds, divided by `scale`, across another; reports as for `plot_comparison`."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    styles = cycle(zip(COLOURS, MARKERS, strict=True))
    for order, one in reports.items():
        colour, marker = ("black", "o") if order == BASELINE else next(styles)
        x = [each[across] for each in one["rounds"]]
        axes.plot(
            x,
            [each[key] / scale for each in one["rounds"]],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=2.5 if order == BASELINE else 1.3,
            linestyle="--" if order == BASELINE else "-",
            label=order,
        )
        if order == BASELINE:
            single = [[seed[key] / scale for seed in each["seeds"]] for each in one["rounds"]]
            axes.fill_between(x, list(map(min, single)), list(map(max, single)), color="black", alpha=0.08)
