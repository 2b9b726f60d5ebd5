"""What each part of a training run adds: class scores alone, the folds, their mean, the last run, the size at which
its weights are served; one run instead.

    python benchmarks/cross_fitting.py [--quick]                       on generated scenes; smallest form
    python benchmarks/cross_fitting.py --coco ANN --images DIR --weights coco --labelled 3,10,20 --seeds 3

Images to learn from are drawn from the `train` split, seed by seed, fewer being the first of more; figures are box AP50
and the share of boxes that need no edit, means and least..most over the seeds, on the `val` split (a fifth is set aside
where the data has no such splits). Folds and `last run`: at the input size that was chosen; `x 1.25`: the last run at
1.25 times that of training. `one run`, to be compared with `x 1`: as many steps as a fold and the last run together,
from the same start, on all images.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring.labelled import write_scenes

from fbnetv3.active_learning.ranking import shuffle
from fbnetv3.data.coco import CocoError
from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuningSettings, fine_tune
from fbnetv3.finetuning.cross_fitting import cross_fit, mean_of
from fbnetv3.finetuning.served_size import LARGER, SMALLER, at_scale
from fbnetv3.finetuning.start import sources_by_name, spelled_as
from fbnetv3.judging import judge
from fbnetv3.provisional import fit_head, provisional_detector, regions_of_example, start_head
from fbnetv3.simulation import ReplayData, read_replay_data
from fbnetv3.weights import Checkpoint, WeightsError, load_checkpoint


def main() -> None:
    """Command line."""
    options = _options()
    logging.basicConfig(level=logging.WARNING)
    if options.quick:
        options.labelled, options.seeds, options.epochs = (2,), 1, 2.0
    try:
        with tempfile.TemporaryDirectory() as folder:
            if options.coco is None:
                options.coco, options.images = write_scenes(Path(folder), 4, 2, "val")
            _run(options, Path(folder))
    except (CocoError, WeightsError) as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace, folder: Path) -> None:
    data = read_replay_data(options.coco, options.images)
    measured = Measured(
        data, spelled_as(data.labels, load_checkpoint(options.weights)), options.threads, options.epochs
    )
    for count in options.labelled:
        print(f"{min(count, len(data.pool))} images")
        rows: dict[str, list[Figures]] = {}
        for seed in range(options.seeds):
            for name, figure in measured.figures(count, seed, folder / f"{count}-{seed}"):
                rows.setdefault(name, []).append(figure)
        for name, figures in rows.items():
            print(f"  {name:20}{'   '.join(map(_shown, zip(*figures, strict=True)))}", flush=True)


def _shown(figures: tuple[float, ...]) -> str:
    return f"{fmean(figures):.3f}  {min(figures):.3f}..{max(figures):.3f}"


class Figures(NamedTuple):
    """0..1 each."""

    box_AP50: float
    no_edit_share: float


@dataclass(frozen=True)
class Measured:
    """Figures on images that nothing learns from. `epochs`: of a whole run; None: as the plan chooses."""

    data: ReplayData
    start: Checkpoint
    threads: int | None
    epochs: float | None

    def figures(self, count: int, seed: int, folder: Path) -> Iterator[tuple[str, Figures]]:
        """Of `count` images drawn by this seed, by name; each fold is a figure of the same name."""
        data = self.data
        chosen = [data.pool[place] for place in shuffle(len(data.pool), seed)[:count]]
        images, sources = data.of(chosen), sources_by_name(data.labels, self.start.labels)
        settings = FineTuningSettings(seed=seed, threads=self.threads, epochs=self.epochs)
        yield "class scores alone", self._of(self._class_scores_alone(images))
        fitted = cross_fit(
            self.start,
            images,
            folder / "folds",
            settings,
            sources=sources,
            pictures=chosen,
            on_progress=lambda _: None,
        )
        folds = [fold.checkpoint for fold in fitted.folds]
        for fold in folds:
            yield "a fold", self._of(self._detector(fold))
        if folds:
            yield "mean of the folds", self._of(self._detector(mean_of(folds)))
        tuned = fitted.tuned
        yield "last run", self._of(self._detector(tuned.checkpoint))
        for scale in (1.0, *LARGER, *SMALLER):
            weights = at_scale(tuned.plan, scale).on_trained(tuned.checkpoint)
            yield f"x {scale:g}", self._of(self._detector(weights))
        one = fine_tune(
            self.start,
            images,
            data.of(()),
            folder / "one",
            replace(settings, cache=str(folder / "folds" / "features")),
            sources=sources,
            on_progress=lambda _: None,
        )
        yield "one run", self._of(self._detector(one.checkpoint))

    def _class_scores_alone(self, images: Examples) -> Detector:
        base, labels = self._detector(self.start), self.data.labels
        regions = [regions_of_example(base, images[place], labels) for place in range(len(images))]
        head = fit_head(regions, start_head(base, labels, sources_by_name(labels, self.start.labels)))
        return provisional_detector(base, head, "class scores alone")

    def _detector(self, weights: Checkpoint) -> Detector:
        return Detector.load(weights, engine="torch", threads=self.threads)

    def _of(self, detector: Detector) -> Figures:
        found = judge(detector, self.data.of(self.data.figures), boxes_only=True)
        return Figures(found.box_AP50, found.no_edit_share)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coco", type=Path, help="annotation file in COCO's format; default: drawn scenes")
    parser.add_argument("--images", type=Path, help="folder that its file names start from")
    parser.add_argument("--weights", default="starter", help="a name or a file to start from")
    parser.add_argument("--labelled", type=_numbers, default=(3, 10), help="labelled images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=float, help="of a whole run; default: as the plan chooses")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--quick", action="store_true", help="smallest form: does it run?")
    options = parser.parse_args()
    if (options.coco is None) != (options.images is None):
        parser.error("--coco and --images belong together")
    return options


if __name__ == "__main__":
    main()
