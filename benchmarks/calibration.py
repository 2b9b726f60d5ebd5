"""Do scores mean what they say? Calibrations learnt on images left out, tried on images that no training saw.

    python benchmarks/calibration.py --set ANN IMAGES RUNS/set/random [--set ...] [--no-masks] [--markdown]
        [--plot FILE]

Takes the weights that serve at the end of each seed (`prelabel simulate`), fits every method to the regions that the
folds of their training run find in the images that they left out, and tries it on the images for the figures: expected
calibration error in ten equal intervals of the regions from 0.3 on, which people see, and log loss of all regions from
0.05 on; means over the weights. The picture has the reliability of what people see in each set, all weights together,
before and after.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from measuring.order_curves import read_rounds
from measuring.reliability import calibration_error, reliability
from measuring.reliability_plot import Reliability, plot_reliability
from measuring.sheets import Sheet

from fbnetv3 import Detector
from fbnetv3.finetuning.evidence import left_out_findings
from fbnetv3.judging import (
    IDENTITY,
    SCORE_THRESHOLD,
    Calibration,
    ScoredRegion,
    fit_calibration,
    judge,
    judgement_of,
)
from fbnetv3.simulation import ReplayData, read_replay_data
from fbnetv3.simulation.storage import Storage
from fbnetv3.weights import Checkpoint

Regions = Sequence[ScoredRegion]
Method = Callable[[np.ndarray], np.ndarray]
Loss = Callable[[Method, Regions], float]

#: A probability of 0 or 1 that is wrong once would make the log loss infinite.
TINY = 1e-3


@dataclass(frozen=True)
class Weights:
    """Regions that its folds find in what they left out, and one version in images that nothing was chosen by."""

    labels: int
    left_out: Regions
    unseen: Regions


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set",
        type=Path,
        nargs=3,
        action="append",
        required=True,
        metavar=("ANN", "IMAGES", "RUNS"),
        help="a data set, and a simulation of one order with it",
    )
    parser.add_argument("--no-masks", action="store_true", help="as the simulations were run")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    options = parser.parse_args()
    versions: dict[str, list[Weights]] = {}
    for file, images, folder in options.set:
        data = read_replay_data(file, images)
        data = data.without_masks() if options.no_masks else data
        versions[file.parent.name] = list(look_at(folder, data))
    for sheet in (
        methods_sheet("Calibration error of shown regions, on unseen images", versions, _shown_error),
        methods_sheet("Log loss of all regions, on unseen images", versions, _log_loss),
    ):
        if options.markdown:
            print(f"**{sheet.title}**\n\n{sheet.markdown()}\n")
        else:
            sheet.show()
    if options.plot:
        plot_reliability({name: before_and_after(ones) for name, ones in versions.items()}, options.plot)


def look_at(folder: Path, data: ReplayData) -> Iterator[Weights]:
    """What serves at the end of each seed, where a training run with folds made it."""
    storage = Storage(folder)
    for results in read_rounds(folder).values():
        promoted = [result for result in results if result.promoted]
        folds = storage.folds(promoted[-1]) if promoted else ()
        if folds:
            last = promoted[-1]
            images = data.of([id_ for result in results for id_ in result.image_ids][: last.labels])
            keys = [str(place) for place in range(len(images))]
            found = list(left_out_findings(folds, images, keys, _detector).values())
            unseen = judge(_detector(storage.weights(last)), data.of(data.figures)).regions
            yield Weights(last.labels, judgement_of(found, images.labels, SCORE_THRESHOLD).regions, unseen)


def _detector(weights: Checkpoint) -> Detector:
    return Detector.load(weights, engine="torch", threads=1)


def methods_sheet(title: str, versions: Mapping[str, Sequence[Weights]], loss: Loss) -> Sheet:
    """Each method's loss, by set and number of labelled images."""
    sheet = Sheet(title, ("data", "labelled images", "regions left out", *METHODS))
    for name, all_of_set in versions.items():
        for labels in sorted({one.labels for one in all_of_set}):
            ones = [one for one in all_of_set if one.labels == labels]
            regions = f"{fmean(len(one.left_out) for one in ones):.0f}"
            losses = (fmean(loss(fit(one.left_out), one.unseen) for one in ones) for fit in METHODS.values())
            sheet.add(name, str(labels), regions, *(f"{mean:.3f}" for mean in losses))
    return sheet


def before_and_after(versions: Sequence[Weights]) -> tuple[Reliability, Reliability]:
    """What the probabilities of shown regions come to, as the scores say them and as calibrated."""
    pairs = [(_shown(one.unseen), fit_calibration(one.left_out)) for one in versions]
    plain = [region for unseen, _ in pairs for region in unseen]
    fitted = [one for unseen, calibration in pairs for one in _moved(calibration, unseen)]
    return reliability(plain), reliability(fitted)


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


def _moved(method: Method, regions: Regions) -> list[ScoredRegion]:
    probabilities = method(_scores(regions)).tolist()
    return [ScoredRegion(p, one.kept) for p, one in zip(probabilities, regions, strict=True)]


def _scores(regions: Regions) -> np.ndarray:
    return np.array([one.score for one in regions])


def _shown_error(method: Method, regions: Regions) -> float:
    return calibration_error(reliability(_moved(method, _shown(regions))))


def _log_loss(method: Method, regions: Regions) -> float:
    probabilities = np.clip(method(_scores(regions)).astype(float), TINY, 1 - TINY)
    kept = np.array([one.kept for one in regions], bool)
    return float(-np.log(np.where(kept, probabilities, 1 - probabilities)).mean()) if len(kept) else 0.0


if __name__ == "__main__":
    main()
