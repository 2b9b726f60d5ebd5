"""What freezing the first stages costs and saves: all of the network trained, or all but k stages, on few images.

    python benchmarks/frozen_stages.py --quick                       smallest form, on generated scenes
    python benchmarks/frozen_stages.py --coco ANN --images DIR --weights coco --out DIR --threads 1
        [--images-counts 10,20,50] [--stages 0,2,3] [--seeds 3] [--random-scores]
    python benchmarks/frozen_stages.py --table OUT [OUT ...] [--markdown]

Images are drawn from the `train` split, seed by seed, fewer being the first of more; figures are of the `val` split.
A fifth is set aside where the data has no such splits. Nothing is held out, so every training takes all of its steps.
A number of images larger than the split is cut to it.

Every figure is a file in `--out`, written when it is there: the same command goes on where it was stopped, in the
middle of a training run, too, and does nothing where all is done. The same command may run several times at once on one
folder, which shares the work: one process per core with `--threads 1` is the fastest way. A training run that fails is
noted and the others go on; the exit code is 1 then. Seconds compare where all of them ran alike.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring.ablation import Ablation, Cell, read_cells
from measuring.ablation_table import cost_sheet, figures_sheet
from measuring.labelled import write_scenes

from fbnetv3.data.coco import CocoError
from fbnetv3.simulation import read_replay_data
from fbnetv3.weights import WeightsError, load_checkpoint

logger = logging.getLogger(__name__)


def main() -> None:
    """Command line."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if options.table:
            _show([cell for folder in options.table for cell in read_cells(folder)], options.markdown)
        elif options.quick:
            sys.exit(_quick(options))
        else:
            sys.exit(_run(options))
    except (CocoError, WeightsError, OSError) as error:
        sys.exit(str(error))


def _quick(options: argparse.Namespace) -> int:
    """Four drawn scenes, two steps."""
    with tempfile.TemporaryDirectory() as folder:
        options.coco, options.images = write_scenes(Path(folder) / "scenes", train=4, holdout=2, split="val")
        options.out = Path(folder) / "out"
        options.images_counts, options.stages, options.seeds, options.epochs = (2, 4), (0, 2), 1, 2.0
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    data = read_replay_data(options.coco, options.images)
    counts = sorted({min(count, len(data.pool)) for count in options.images_counts})
    ablation = Ablation(
        data,
        load_checkpoint(options.weights),
        options.out,
        {"data": options.coco.parent.name, "weights": options.weights},
        options.epochs,
        options.threads,
        options.random_scores,
    )
    ablation.claim()
    logger.info("%s images to train on, figures from %d (%s)", counts, len(data.figures), data.split)
    # Seed by seed, so that an interrupted run has whole comparisons.
    failed = 0
    for seed in range(options.seeds):
        for stages in options.stages:
            failed += ablation.fill(seed, stages, counts)
    if not (options.out / "cells").exists():
        logger.info("other processes work on all there is")
        return 0
    _show(list(_wanted(options, counts)), options.markdown)
    if failed:
        logger.error("%d training runs failed; their messages are above and in %s", failed, options.out)
    return 1 if failed else 0


def _wanted(options: argparse.Namespace, counts: Sequence[int]) -> Iterator[Cell]:
    for cell in read_cells(options.out):
        if cell.stages in options.stages and cell.images in counts and cell.seed < options.seeds:
            yield cell


def _show(cells: list[Cell], markdown: bool) -> None:
    for sheet in (figures_sheet(cells), cost_sheet(cells)):
        if markdown:
            print(f"{sheet.title}\n\n{sheet.markdown()}\n")
        else:
            sheet.show()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coco", type=Path, help="annotation file in COCO's format")
    parser.add_argument("--images", type=Path, help="folder that its file names start from")
    parser.add_argument("--weights", default="starter", help="a name or a file to start from")
    parser.add_argument("--images-counts", type=_numbers, default=(10, 20, 50), help="labelled images")
    parser.add_argument(
        "--stages", type=_numbers, default=(0, 2, 3), help="frozen stages; 0 is the yardstick"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, help="default: as the plan chooses")
    parser.add_argument("--random-scores", action="store_true", help="new labels begin at random, not fitted")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="smallest form, on generated scenes")
    parser.add_argument("--table", type=Path, nargs="+", metavar="OUT", help="only show what is there")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    options = parser.parse_args()
    if not (options.table or options.quick or (options.coco and options.images and options.out)):
        parser.error("--coco, --images and --out are needed, or --quick, or --table")
    return options


if __name__ == "__main__":
    main()
