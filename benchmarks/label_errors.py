"""How well wrong labels are found: errors injected into clean sets, found by models that did not train on them.

    python benchmarks/label_errors.py --quick                        smallest form, on generated scenes
    python benchmarks/label_errors.py --coco ANN --images DIR --weights coco --out OUT [--split train] [--limit 60]
        [--seeds 3] [--rate 0.1] [--held-out] [--threads 1]
    python benchmarks/label_errors.py --table OUT [OUT ...] [--markdown] [--plot FILE] [--fit]

Each seed draws other errors: a tenth of the objects dropped, a tenth with another label, a tenth shifted, a tenth
added. Heads are cross-fitted on the spoilt labels; `--held-out` asks the weights as they are instead, for images that
they were never trained on. The table compares prelabel's ranking, its weights fitted on the other sets of the table,
with cleanlab's ObjectLab (`pip install cleanlab`), the sum of the network's losses, and plain confidence. `--fit`
prints weights fitted on all sets, as they stand in fbnetv3/review/likelihoods.py.

What a model makes of a seed's images is kept in `--out`, so that the same command goes on where it was stopped. The
files there are pickles: open only your own.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import shutil
import sys
import tempfile
import time
from pathlib import Path

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring.injection import spoil
from measuring.label_error_fit import Seen, fit
from measuring.label_error_plot import plot_precision
from measuring.label_error_tables import corrections_sheet, precision_sheet
from measuring.labelled import write_scenes

from fbnetv3.data.coco import CocoError, CocoExamples, read_coco
from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.review import OutOfFold, held_out, out_of_fold
from fbnetv3.weights import WeightsError, load_checkpoint

logger = logging.getLogger(__name__)


def main() -> None:
    """Command line."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if options.quick:
            _quick(options)
        elif options.table:
            _show(options)
        else:
            _run(options)
    except (CocoError, WeightsError, OSError) as error:
        sys.exit(str(error))


def _quick(options: argparse.Namespace) -> None:
    """Six drawn scenes, heads that have hardly learnt."""
    with tempfile.TemporaryDirectory() as folder:
        options.coco, options.images = write_scenes(Path(folder) / "scenes", train=6, holdout=0)
        options.out, options.seeds, options.epochs = Path(folder) / "out", 1, 1.0
        _run(options)
        options.table = [options.out]
        _show(options)


def _run(options: argparse.Namespace) -> None:
    examples = _examples(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        file = options.out / f"seed{seed}.pickle"
        if file.exists():
            continue
        spoilt = spoil(examples, options.rate, seed)
        logger.info("seed %d: %d errors in %d images", seed, len(spoilt.errors), len(spoilt))
        started = time.monotonic()
        predictions = _predictions(options, spoilt, seed)
        about = {
            "data": options.coco.parent.name,
            "images": len(spoilt),
            "objects": sum(len(one.boxes) for one in spoilt.examples),
            "seconds": round(time.monotonic() - started, 1),
            "held_out": options.held_out,
        }
        logger.info("seed %d: %s", seed, json.dumps(about))
        write_whole(pickle.dumps((about, spoilt, predictions)), file)
        shutil.rmtree(options.out / f"work{seed}", ignore_errors=True)


def _predictions(options: argparse.Namespace, spoilt: Examples, seed: int) -> list[OutOfFold]:
    if options.held_out:
        detector = Detector.load(load_checkpoint(options.weights), engine="torch", threads=options.threads)
        return held_out(detector, spoilt)
    settings = FineTuningSettings(
        seed=seed, epochs=options.epochs, threads=options.threads, cache=str(options.out / "features")
    )
    return out_of_fold(
        load_checkpoint(options.weights), spoilt, options.out / f"work{seed}", settings=settings
    )


def _show(options: argparse.Namespace) -> None:
    seen = [_read(file) for folder in options.table for file in sorted(folder.glob("seed*.pickle"))]
    if options.fit:
        print(fit(seen))
        return
    precision = precision_sheet(seen)
    if options.plot:
        plot_precision(precision, options.plot)
    for sheet in (precision, corrections_sheet(seen)):
        if options.markdown:
            print(f"{sheet.title}\n\n{sheet.markdown()}\n")
        else:
            sheet.show()


def _read(file: Path) -> Seen:
    about, spoilt, predictions = pickle.loads(file.read_bytes())
    return Seen(about["data"], spoilt, predictions)


def _examples(options: argparse.Namespace) -> CocoExamples:
    data = read_coco(options.coco, options.split)
    if options.limit:
        data["images"] = data["images"][: options.limit]
        kept = {image["id"] for image in data["images"]}
        data["annotations"] = [one for one in data["annotations"] if one["image_id"] in kept]
    return CocoExamples(data, options.images)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coco", type=Path, help="annotation file in COCO's format")
    parser.add_argument("--images", type=Path, help="folder that its file names start from")
    parser.add_argument("--split", help="only the images of this split")
    parser.add_argument("--limit", type=int, help="only so many images")
    parser.add_argument("--weights", default="starter", help="a name or a file to start from")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the objects with each error")
    parser.add_argument("--epochs", type=float, help="default: as cross-fitting chooses")
    parser.add_argument("--held-out", action="store_true", help="ask the weights as they are")
    parser.add_argument("--threads", type=int, help="CPU threads; default: one per core")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="smallest form, on generated scenes")
    parser.add_argument("--table", type=Path, nargs="+", metavar="OUT", help="only show what is there")
    parser.add_argument("--plot", type=Path, help="a PNG of the table")
    parser.add_argument("--fit", action="store_true", help="print weights fitted on what is there")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    options = parser.parse_args()
    if not (options.table or options.quick or (options.coco and options.images and options.out)):
        parser.error("--coco, --images and --out are needed, or --quick, or --table")
    return options


if __name__ == "__main__":
    main()
