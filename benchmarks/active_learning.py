"""What each order of labelling comes to, against the random one: the tables of docs/active-learning.md.

    prelabel simulate --coco ANN --images DIR --order margin --order combined ... --out RUNS/set
    prelabel simulate --coco ANN --images DIR --rounds N --out RUNS/set-full        all N images at once
    python benchmarks/active_learning.py RUNS/set [RUNS/other ...] [--markdown] [--plot FILE]

Reads whatever rounds are there, so it can be asked while a simulation still runs; only seeds of which an order and the
random one have all rounds are compared. A gain is the difference of AP50, averaged over what both curves cover, at
equal labelled images, labelled objects or estimated seconds of a person: mean over the seeds, least and most.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from measuring.order_curves import Curves, mean_gain, read_curves
from measuring.order_plot import plot_orders
from measuring.sheets import Sheet

from fbnetv3.simulation import RoundResult
from fbnetv3.simulation.order_comparison import BASELINE

ACROSS = {"images": "labels", "objects": "objects", "seconds": "person_seconds"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="what simulate --order wrote")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    parser.add_argument("--plot", type=Path, help="PNG to write, of simulations that are done")
    options = parser.parse_args()
    curves = [one for one in map(read_curves, options.folders) if one.rounds.get(BASELINE)]
    for sheet in (levels_sheet(curves), gains_sheet(curves), means_sheet(curves), enough_sheet(curves)):
        if options.markdown:
            print(f"{sheet.title}\n\n{sheet.markdown()}\n")
        else:
            sheet.show()
    if options.plot:
        plot_orders(options.folders, options.plot)


def levels_sheet(curves: Sequence[Curves]) -> Sheet:
    """AP50 round by round."""
    sheet = Sheet(
        "Box AP50 (person's minutes so far) after each round, means over the seeds",
        ("data", "order", "seeds", "objects in the last", "first", "second", "third"),
    )
    for one in curves:
        for order in one.orders:
            seeds = one.seeds(order)
            if not seeds:
                continue
            rounds = list(zip(*(one.rounds[order][seed] for seed in seeds), strict=True))
            cells = [_level(ones) for ones in rounds]
            objects = f"{fmean(r.objects for r in rounds[-1]):.0f}"
            sheet.add(one.name, order, len(seeds), objects, *cells[:3], *[""] * (3 - len(cells)))
    return sheet


def gains_sheet(curves: Sequence[Curves]) -> Sheet:
    """Set by set."""
    sheet = Sheet(
        "Gain of AP50 over random at equal ...: mean (least..most) over the seeds",
        ("data", "order", *ACROSS),
    )
    for one in curves:
        for order in one.orders[1:]:
            if one.seeds(order):
                cells = (_spread(one.gains(order, across)) for across in ACROSS.values())
                sheet.add(one.name, order, *cells)
    return sheet


def means_sheet(curves: Sequence[Curves]) -> Sheet:
    """All sets together, the best at equal images first."""
    sheet = Sheet(
        "Gain of AP50 over random, mean over the sets (sets in which it is above 0, of how many)",
        ("order", *ACROSS),
    )
    orders = {order for one in curves for order in one.orders[1:]}
    found = {order: [mean_gain(curves, order, across) for across in ACROSS.values()] for order in orders}
    ranked = sorted((order for order in orders if found[order][0]), key=lambda order: -found[order][0][0])
    for order in ranked:
        sheet.add(
            order, *(f"{gain[0]:+.3f} ({gain[1]} of {gain[2]})" if gain else None for gain in found[order])
        )
    return sheet


def enough_sheet(curves: Sequence[Curves]) -> Sheet:
    """The goal: 95 % of the full data's AP50 with at most half of the labels that random needs."""
    sheet = Sheet(
        "What 95 % of the full data's AP50 takes: images, objects, person's minutes",
        ("data", "full AP50", "order", "images", "objects", "minutes"),
    )
    for one in curves:
        for order in one.orders:
            if one.seeds(order) and one.full:
                images, objects, seconds = (one.enough_at(order, across) for across in ACROSS.values())
                minutes = None if seconds is None else seconds / 60
                cells = (f"{x:.0f}" if x is not None else "not reached" for x in (images, objects, minutes))
                sheet.add(one.name, f"{fmean(one.full.values()):.3f}", order, *cells)
    return sheet


def _level(results: Sequence[RoundResult]) -> str:
    minutes = fmean(one.person_seconds for one in results) / 60
    return f"{results[0].labels}: {fmean(one.box_AP50 for one in results):.3f} ({minutes:.0f})"


def _spread(values: Sequence[float]) -> str | None:
    if not values:
        return None
    mean = f"{fmean(values):+.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):+.3f}..{max(values):+.3f})"


if __name__ == "__main__":
    main()
