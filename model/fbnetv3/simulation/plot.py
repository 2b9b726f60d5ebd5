"""The curves of a simulation as a picture: means thick, single seeds thin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Blue and vermilion of Okabe and Ito's palette, which colour-blind people tell apart.
BLUE, VERMILION = "#0072B2", "#D55E00"


def plot(report: dict[str, Any], file: Path, title: str) -> None:
    """Write a PNG of what `round_results.report` gave. Raises OSError when the disk refuses."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle(title)
    box, mask, no_edit, person = figure.subplots(2, 2).flat
    _share(box, report, "box_AP50", "AP50 of boxes")
    if report["rounds"][-1]["mask_AP50"] is None:
        _curve(mask, report, "false_positives_per_image", BLUE, "")
        mask.set_title("False positives per image")
        mask.set_ylim(bottom=0)
    else:
        _share(mask, report, "mask_AP50", "AP50 of masks")
    _share(no_edit, report, "no_edit_share", "Objects that need no edit, share")
    _curve(person, report, "person_seconds", BLUE, "with prelabel", minutes=True)
    _curve(person, report, "person_seconds_without", VERMILION, "without", minutes=True)
    person.set_title("A person's minutes so far, estimated")
    person.set_ylim(bottom=0)
    person.legend(frameon=False)
    for axes in (box, mask, no_edit, person):
        axes.set_xlabel("labelled images")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


def _share(axes: Axes, report: dict[str, Any], name: str, title: str) -> None:
    _curve(axes, report, name, BLUE, "")
    axes.set_title(title)
    axes.set_ylim(0, 1)


def _curve(
    axes: Axes,
    report: dict[str, Any],
    name: str,
    colour: str,
    label: str,
    minutes: bool = False,
) -> None:
    """From the start weights' figure, or no minutes, at 0 labels on."""
    rounds, start = report["rounds"], report["start"]
    scale = 60 if minutes else 1
    origin = start.get(name, 0)
    labels = ([] if origin is None else [0]) + [one["labels"] for one in rounds]
    seeds = sorted({single["seed"] for one in rounds for single in one["seeds"]})
    single = [[one["seeds"][place][name] for one in rounds] for place in range(len(seeds))]
    mean = [one[name] for one in rounds]
    for values in [*single, mean]:
        points = ([] if origin is None else [origin]) + values
        is_mean = values is mean
        axes.plot(
            labels,
            [float("nan") if value is None else value / scale for value in points],
            color=colour,
            linewidth=2.5 if is_mean else 0.8,
            alpha=1 if is_mean else 0.45,
            marker="o" if is_mean else None,
            linestyle="--" if label == "without" else "-",
            label=label if is_mean else None,
        )
