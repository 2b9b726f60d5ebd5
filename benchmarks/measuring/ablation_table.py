"""The tables of frozen_stages.py: means over the seeds, and how far freezing is from training everything."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from measuring.ablation import Cell
from measuring.sheets import Sheet

SHOWN = {"box AP50": "box_AP50", "box AP": "box_AP", "mask AP50": "mask_AP50", "no edit": "no_edit_share"}
COMPARED = {"box AP50": "box_AP50", "mask AP50": "mask_AP50", "no edit": "no_edit_share"}

Group = tuple[str, str, int, int]


def figures_sheet(cells: Iterable[Cell]) -> Sheet:
    """Mean over the seeds, and least..most in brackets."""
    sheet = Sheet(
        "Frozen stages: mean (least..most) over the seeds",
        ("data, weights", "images", "frozen", "seeds", *SHOWN, "training, s"),
    )
    for (data, weights, images, stages), members in _groups(cells).items():
        done = [cell for cell in members if cell.error is None]
        failed = len(members) - len(done)
        sheet.add(
            f"{data}, {weights}",
            images,
            stages,
            f"{len(done)}" + (f" (+ {failed} failed)" if failed else ""),
            *(_spread(done, name, 3) for name in SHOWN.values()),
            _spread(done, "seconds", 0),
        )
    return sheet


def cost_sheet(cells: Iterable[Cell]) -> Sheet:
    """Seed by seed against training on everything on the same images."""
    groups = _groups(cells)
    sheet = Sheet(
        "Against 0 frozen stages, by seed: mean difference (least..most), seconds as a ratio",
        ("data, weights", "images", "frozen", "seeds", *COMPARED, "seconds, 0 frozen / this"),
    )
    for (data, weights, images, stages), members in groups.items():
        whole = {cell.seed: cell for cell in groups.get((data, weights, images, 0), ()) if not cell.error}
        pairs = [(whole[cell.seed], cell) for cell in members if cell.seed in whole and not cell.error]
        if stages == 0 or not pairs:
            continue
        ratio = statistics.median(_known(all_, "seconds") / _known(part, "seconds") for all_, part in pairs)
        differences = (_difference(pairs, name) for name in COMPARED.values())
        sheet.add(f"{data}, {weights}", images, stages, len(pairs), *differences, f"{ratio:.2f}")
    return sheet


def _groups(cells: Iterable[Cell]) -> dict[Group, list[Cell]]:
    groups: dict[Group, list[Cell]] = {}
    for cell in sorted(
        cells, key=lambda cell: (cell.data, cell.weights, cell.images, cell.stages, cell.seed)
    ):
        groups.setdefault((cell.data, cell.weights, cell.images, cell.stages), []).append(cell)
    return groups


def _known(cell: Cell, name: str) -> float:
    value = cell.figures[name]
    assert value is not None
    return value


def _spread(cells: Sequence[Cell], name: str, digits: int) -> str | None:
    values = [value for cell in cells if (value := cell.figures[name]) is not None]
    if not values:
        return None
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def _difference(pairs: Sequence[tuple[Cell, Cell]], name: str) -> str | None:
    if any(cell.figures[name] is None for pair in pairs for cell in pair):
        return None
    gains = [_known(part, name) - _known(all_, name) for all_, part in pairs]
    mean = f"{statistics.mean(gains):+.3f}"
    return mean if len(gains) == 1 else f"{mean} ({min(gains):+.3f}..{max(gains):+.3f})"
