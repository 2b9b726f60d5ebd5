"""Do scores mean what they say? Calibrations learnt on a hold-out, tried on images that no training saw.

    python benchmarks/calibration.py --coco ANN --images DIR RUNS/set/random [more folders of simulations of this set]
        [--no-masks] [--markdown]

Takes the weights that each round of each seed promoted (`prelabel simulate`), fits every method to the regions that it
finds in the round's held-out images, and tries it on the images for the figures. Expected calibration error in ten
equal intervals and log loss, of all regions from 0.05 on and of those from 0.3 on, which people see; mean over the
weights. Last, the reliability of the regions that people see, all weights together, before and after.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from measuring.order_curves import read_rounds
from measuring.sheets import Sheet

from fbnetv3 import Detector
from fbnetv3.judging import (
    IDENTITY,
    SCORE_THRESHOLD,
    Calibration,
    ScoredRegion,
    calibration_error,
    fit_calibration,
    judge,
    reliability,
)
from fbnetv3.learning.snapshot import is_held_out
from fbnetv3.simulation import ReplayData, read_replay_data
from fbnetv3.simulation.storage import Storage

Regions = Sequence[ScoredRegion]
Method = Callable[[np.ndarray], np.ndarray]

#: A probability of 0 or 1 that is wrong once would make the log loss infinite.
TINY = 1e-3


@dataclass(frozen=True)
class Weights:
    """Regions that one version finds: in its hold-out, and in images that nothing was chosen by."""

    labels: int
    holdout: Regions
    unseen: Regions


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="simulations of one order each")
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--no-masks", action="store_true", help="as the simulations were run")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    options = parser.parse_args()
    data = read_replay_data(options.coco, options.images)
    data = data.without_masks() if options.no_masks else data
    versions = [one for folder in options.folders for one in look_at(folder, data)]
    for sheet in (methods_sheet(options.coco.parent.name, versions), reliability_sheet(versions)):
        if options.markdown:
            print(f"{sheet.title}\n\n{sheet.markdown()}\n")
        else:
            sheet.show()


def look_at(folder: Path, data: ReplayData) -> Iterator[Weights]:
    """Every round's weights that have a hold-out."""
    for results in read_rounds(folder).values():
        labelled: list[int | str] = []
        for result in results:
            labelled += result.image_ids
            held_out = [id_ for id_ in labelled if is_held_out(id_)]
            if result.promoted and held_out:
                detector = Detector.load(Storage(folder).weights(result), engine="torch", threads=1)
                seen, unseen = (judge(detector, data.of(ids)).regions for ids in (held_out, data.figures))
                yield Weights(result.labels, seen, unseen)


def methods_sheet(name: str, versions: Sequence[Weights]) -> Sheet:
    """Each method, by number of labelled images."""
    sheet = Sheet(
        f"{name}: on unseen images, calibration error of all regions, of shown ones, log loss of all",
        ("labelled images", "regions held out", "method", "error, all", "error, shown", "log loss"),
    )
    for labels in sorted({one.labels for one in versions}):
        ones = [one for one in versions if one.labels == labels]
        regions = f"{fmean(len(one.holdout) for one in ones):.0f}"
        for method, fit in METHODS.items():
            fitted = [(fit(one.holdout), one.unseen) for one in ones]
            cells = (
                fmean(_error(f, unseen) for f, unseen in fitted),
                fmean(_error(f, _shown(unseen)) for f, unseen in fitted),
                fmean(_log_loss(f, unseen) for f, unseen in fitted),
            )
            sheet.add(str(labels), regions, method, *(f"{cell:.3f}" for cell in cells))
    return sheet


def reliability_sheet(versions: Sequence[Weights]) -> Sheet:
    """What a probability of 0.8 comes to, as the scores say it and as calibrated."""
    sheet = Sheet(
        "Reliability of shown regions: share that is kept (of how many)",
        ("probability", "scores as they are", "calibrated"),
    )
    pairs = [(_shown(one.unseen), fit_calibration(one.holdout)) for one in versions]
    plain = [region for unseen, _ in pairs for region in unseen]
    fitted = [
        ScoredRegion(float(score), region.kept)
        for unseen, calibration in pairs
        for region, score in zip(unseen, calibration(_scores(unseen)), strict=True)
    ]
    before, after = ({one.lower: one for one in reliability(regions)} for regions in (plain, fitted))
    for lower in sorted(before.keys() | after.keys()):
        cells = (
            f"{one.kept:.2f} ({one.regions})" if (one := t.get(lower)) else None for t in (before, after)
        )
        sheet.add(f"{lower:.1f} to {lower + 0.1:.1f}", *cells)
    sheet.add("error", *(f"{calibration_error(list(table.values())):.3f}" for table in (before, after)))
    return sheet


def _temperature(regions: Regions) -> Method:
    """The slope alone, without a prior: the one with the least log loss."""
    slopes = np.geomspace(0.1, 10, 200).tolist()
    return min((Calibration(slope) for slope in slopes), key=lambda one: _log_loss(one, regions))


def _isotonic(regions: Regions) -> Method:
    """Pool adjacent violators (Zadrozny and Elkan 2002), constant between and beyond the scores that it saw."""
    ordered = sorted(regions)
    blocks: list[tuple[float, float, int]] = []
    for score, kept in ordered:
        blocks.append((score, float(kept), 1))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (first, a, n), (_, b, m) = blocks[-2:]
            blocks[-2:] = [(first, (a * n + b * m) / (n + m), n + m)]
    if not blocks:
        return IDENTITY
    starts, values = np.array([block[0] for block in blocks]), np.array([block[1] for block in blocks])
    return lambda scores: values[np.searchsorted(starts, scores, side="right").clip(1) - 1]


METHODS: dict[str, Callable[[Regions], Method]] = {
    "none": lambda regions: IDENTITY,
    "temperature": _temperature,
    "isotonic": _isotonic,
    "slope and offset, with a prior": fit_calibration,
}


def _shown(regions: Regions) -> list[ScoredRegion]:
    return [one for one in regions if one.score >= SCORE_THRESHOLD]


def _scores(regions: Regions) -> np.ndarray:
    return np.array([one.score for one in regions])


def _error(method: Method, regions: Regions) -> float:
    probabilities = method(_scores(regions)).tolist()
    moved = [ScoredRegion(p, one.kept) for p, one in zip(probabilities, regions, strict=True)]
    return calibration_error(reliability(moved))


def _log_loss(method: Method, regions: Regions) -> float:
    probabilities = np.clip(method(_scores(regions)).astype(float), TINY, 1 - TINY)
    kept = np.array([one.kept for one in regions], bool)
    return float(-np.log(np.where(kept, probabilities, 1 - probabilities)).mean()) if len(kept) else 0.0


if __name__ == "__main__":
    main()
