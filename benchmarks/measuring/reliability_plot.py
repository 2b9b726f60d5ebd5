"""The picture of calibration.py: of regions with a probability, the share that people keep; a panel per data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from measuring.reliability import ReliabilityBin, calibration_error

Reliability = Sequence[ReliabilityBin]

#: Okabe and Ito's palette, which colour-blind people tell apart.
STYLES = (("scores as they are", "#E69F00"), ("calibrated", "#0072B2"))
FEWEST_REGIONS = 20
"""A point of fewer says nothing and is left out; the error counts it."""


def plot_reliability(tables: Mapping[str, tuple[Reliability, Reliability]], file: Path) -> None:
    """Write a PNG; `tables`: of each set before and after."""
    figure = Figure(figsize=(3 * len(tables), 3.4), layout="constrained")
    panels = figure.subplots(1, len(tables), squeeze=False, sharex=True, sharey=True).flat
    for axes, (name, both) in zip(panels, tables.items(), strict=True):
        axes.plot((0, 1), (0, 1), color="#BBBBBB", linewidth=1)
        for (label, colour), table in zip(STYLES, both, strict=True):
            points = [(one.mean, one.kept) for one in table if one.regions >= FEWEST_REGIONS]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=4, label=label)
        before, after = map(calibration_error, both)
        axes.set(title=f"{name}\nerror {before:.3f} to {after:.3f}", xlim=(0.2, 1), ylim=(0, 1))
        axes.set_xlabel("probability")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share that is kept")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    figure.savefig(file, dpi=110)
