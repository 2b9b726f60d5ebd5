"""Learning: the feature cache, labels to a version that serves, predictions while training.

    python benchmarks/learning.py [--quick]                         everything, on generated scenes; smallest form
    python benchmarks/learning.py cache --weights coco --coco ANN --images DIR --rounds 9
    python benchmarks/learning.py run --weights coco --coco ANN --images DIR --runs 3
    python benchmarks/learning.py predict --weights coco --coco ANN --images DIR --rounds 5 --seconds 30

`cache`: an epoch whose frozen stages' outputs are on disk against one that computes them, ten steps each in turn; with
0 stages the images are kept.
`run`: 50 labelled images of a Label Studio that only has these, a real server with its worker, Start Training; until
the new version answers /predict, with the threads that a training run gets by default and with two. `predict`: a real
server, and a training run beside it as the worker starts one, which is held (SIGSTOP) and let go in turn.

Ratios are medians over the rounds of what was measured side by side. Numbers mean most on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring import epochs, while_training, whole_runs
from measuring.labelled import write_scenes
from measuring.sheets import Sheet, write

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.data.coco import CocoError
from fbnetv3.simulation import ReplayData, read_replay_data
from fbnetv3.weights import WeightsError, load_checkpoint

ALL = "all"


def main() -> None:
    """Command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    options = _options()
    if options.quick:
        options.labelled, options.cached, options.rounds, options.seconds = 10, 8, 1, 2.0
        options.stages, options.threads = "2", options.threads or 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            if options.coco is None:
                options.coco, options.images = write_scenes(Path(folder), options.labelled, 1, "val")
            _run(options)
    except (CocoError, WeightsError) as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace) -> None:
    measures = [MEASURES[options.what]] if options.what != "all" else list(MEASURES.values())
    sheets: list[Sheet] = []
    for measure in measures:
        with tempfile.TemporaryDirectory() as folder:
            for sheet in measure(options, Path(folder)):
                sheet.show()
                sheets.append(sheet)
                if options.json:
                    write(sheets, options.json)


def measure_cache(options: argparse.Namespace, folder: Path) -> Iterator[Sheet]:
    """Cached and uncached epochs."""
    data = _data(options)
    images = min(options.cached, len(data.pool))
    material = epochs.Material(load_checkpoint(options.weights), data, images, options.threads)
    trunk = len(ARCHITECTURES[material.start.model].trunk)
    stages = [trunk if part == ALL else int(part) for part in options.stages.split(",")]
    yield from epochs.measure(folder, material, stages, options.rounds)


def measure_run(options: argparse.Namespace, folder: Path) -> Iterator[Sheet]:
    """Labels to a version."""
    few = 1.0 if options.quick else None
    threads = [options.threads] if options.threads else [None, 2]
    yield from whole_runs.measure(
        folder, options.weights, _data(options), options.labelled, threads, options.runs, few
    )


def measure_predict(options: argparse.Namespace, folder: Path) -> Iterator[Sheet]:
    """Predictions and training beside each other."""
    files = while_training.LabelledFiles(options.coco, options.images, options.cached)
    yield from while_training.measure(
        folder, options.weights, files, options.threads, options.rounds, options.seconds
    )


MEASURES = {"cache": measure_cache, "run": measure_run, "predict": measure_predict}


def _data(options: argparse.Namespace) -> ReplayData:
    return read_replay_data(options.coco, options.images)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=(*MEASURES, "all"), default="all")
    parser.add_argument("--coco", type=Path, help="annotation file in COCO's format; default: drawn scenes")
    parser.add_argument("--images", type=Path, help="folder that its file names start from")
    parser.add_argument("--weights", default="starter", help="a name or a file to start from")
    parser.add_argument("--labelled", type=int, default=50, help="images of `run`")
    parser.add_argument("--cached", type=int, default=20, help="images of `cache` and `predict`")
    parser.add_argument("--stages", default=f"0,1,2,3,{ALL}", help="frozen ones of `cache`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1, help="of `run`, with each number of threads")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase of `predict`")
    parser.add_argument("--threads", type=int, help="CPU threads of training; `run`: only these")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="smallest form: does it run?")
    options = parser.parse_args()
    if (options.coco is None) != (options.images is None):
        parser.error("--coco and --images belong together")
    return options


if __name__ == "__main__":
    main()
