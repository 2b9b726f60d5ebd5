"""How much of a mask its simplified polygons lose, and how many points they have, on a COCO file.

    python benchmarks/polygons.py --coco annotations.json [--tolerance 0.01] [--json OUT]

Crowds and objects without a mask are left out. The IoU is that of the filled polygons with the mask.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from rich.console import Console
from rich.table import Table

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.shapes.outlines import TOLERANCE, fill, polygons

SIZES = {
    "all": (0, np.inf),
    "under 32 x 32": (0, 32**2),
    "medium": (32**2, 96**2),
    "over 96 x 96": (96**2, np.inf),
}
"""Areas in pixels, cut where COCO cuts small, medium and large."""


def measure(mask: BoxMask, tolerance: float) -> tuple[int, float, int, int, float]:
    """(area in pixels, IoU, polygons, points, milliseconds) of one mask."""
    start = time.perf_counter()
    rings = polygons(mask, tolerance)
    milliseconds = 1000 * (time.perf_counter() - start)
    filled = np.zeros(mask.bitmap.shape, bool)
    for ring in rings:
        filled |= fill(ring - (mask.x, mask.y), mask.bitmap.shape)
    overlap = (filled & mask.bitmap).sum() / (filled | mask.bitmap).sum()
    return mask.area, float(overlap), len(rings), sum(map(len, rings)), milliseconds


def masks(annotations: Path) -> list[BoxMask]:
    """Every mask of the file."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotations))
    wanted = [entry for entry in coco.anns.values() if entry.get("segmentation") and not entry.get("iscrowd")]
    found = [BoxMask.from_full(coco.annToMask(entry)) for entry in wanted]
    return [mask for mask in found if mask.area]


def summary(rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Per size of object: how many, least and mean IoU, polygons, points and time."""
    result = {}
    for name, (low, high) in SIZES.items():
        chosen = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
        if len(chosen):
            _, overlap, rings, points, milliseconds = chosen.T
            result[name] = {
                "objects": len(chosen),
                "iou_min": overlap.min(),
                "iou_mean": overlap.mean(),
                "polygons_mean": rings.mean(),
                "points_median": float(np.median(points)),
                "points_max": points.max(),
                "ms_mean": milliseconds.mean(),
                "ms_max": milliseconds.max(),
            }
    return result


def table(figures: dict[str, dict[str, float]]) -> Table:
    """The summary for the terminal."""
    result = Table("", *figures)
    for row in figures["all"]:
        result.add_row(row, *(f"{values[row]:.4g}" for values in figures.values()))
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coco", type=Path, required=True, help="COCO annotation file with masks")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rows = np.array([measure(mask, options.tolerance) for mask in masks(options.coco)])
    figures = summary(rows)
    Console().print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
