"""Provisional versions: seconds from Submit to the label being predicted, the cost to /predict, memory.

    python benchmarks/provisional.py [--quick]                        on generated scenes; smallest form
    python benchmarks/provisional.py --weights coco --coco ANN --images DIR --labelled 20

A Label Studio that only has these images and labels, a real server with its worker, and a label after the other, four
seconds apart. Label Studio's own time for an export, some tenths of a second, is not in it. The ratio is the median
over the rounds of what was measured side by side, on one server, with the same images: a project with a provisional
version, and one without labels whose config has those of the base weights. Numbers mean most on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring import provisional
from measuring.labelled import write_scenes
from measuring.sheets import Sheet, write

from fbnetv3.data.coco import CocoError
from fbnetv3.simulation import read_replay_data
from fbnetv3.weights import WeightsError


def main() -> None:
    """Command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    options = _options()
    if options.quick:
        options.labelled, options.rounds = 3, 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(options, Path(folder))
    except (CocoError, WeightsError) as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace, folder: Path) -> None:
    if options.coco is None:
        options.coco, options.images = write_scenes(folder, options.labelled + 1, 1, "val")
    data = read_replay_data(options.coco, options.images)
    sheets: list[Sheet] = []
    for sheet in provisional.measure(folder, options.weights, data, options.labelled, options.rounds):
        sheet.show()
        sheets.append(sheet)
        if options.json:
            write(sheets, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coco", type=Path, help="annotation file in COCO's format; default: drawn scenes")
    parser.add_argument("--images", type=Path, help="folder that its file names start from")
    parser.add_argument("--weights", default="starter", help="a name or a file of base weights")
    parser.add_argument("--labelled", type=int, default=20, help="images that are labelled, one by one")
    parser.add_argument("--rounds", type=int, default=9, help="of /predict")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="smallest form: does it run?")
    options = parser.parse_args()
    if (options.coco is None) != (options.images is None):
        parser.error("--coco and --images belong together")
    return options


if __name__ == "__main__":
    main()
