"""Would int8 pay? ONNX Runtime's quantisation of the exported graphs: time of each part and of the whole, loss of AP.

    python benchmarks/int8.py                                                      starter weights, drawn scenes
    python benchmarks/int8.py --weights coco --coco annotations.json --images photos/ --calibrate more_photos/

Static variants are calibrated on the images in `--calibrate`, on drawn scenes without it; never on those that AP is
measured on. The float engine gives the graphs behind the first the features and boxes to calibrate on. Variants take
turns, round by round; a ratio is the median over the rounds of float's time over the variant's.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from measuring.quantised import PARTS, Inputs, Variant, record, replaced
from measuring.rounds import Rounds, alternate
from measuring.sheets import Sheet
from onnxruntime.quantization import CalibrationMethod

from fbnetv3.config import ModelConfig
from fbnetv3.data.coco import read_coco, to_coco
from fbnetv3.data.examples import SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.engines import exports
from fbnetv3.engines.onnx_engine import OnnxEngine, open_session
from fbnetv3.images import ImageSource, read_image
from fbnetv3.judging.average_precision import AveragePrecision, evaluate
from fbnetv3.scenes import generate_scene

FLOAT = "float"
#: What the server wants unless told otherwise.
SCORE_THRESHOLD = 0.3
SCENE = (480, 640)
#: Training draws from the first million.
EVALUATED_SCENES, CALIBRATION_SCENES = 1_000_000, 5_000_000
EVALUATED = 24
#: Regions of an image that the heads are calibrated on; all of them would fill the memory.
REGIONS = 20

HEADS = ("boxes", "masks")
VARIANTS = {
    "mask head": Variant(("masks",)),
    "both heads": Variant(HEADS),
    "both heads, ends float": Variant(HEADS, ends=False),
    "all": Variant(),
    "all, ends float": Variant(ends=False),
    "all, ends and depthwise float": Variant(ends=False, depthwise=False),
    "all, entropy": Variant(method=CalibrationMethod.Entropy),
    "all, percentile": Variant(method=CalibrationMethod.Percentile),
    "image and mask head, dynamic": Variant(("image", "masks"), method=None),
}


def measure(options: argparse.Namespace, work: Path) -> Iterator[Sheet]:
    """The table of the loss, then that of the times."""
    folder, manifest = exports.obtain(options.weights, {})
    config = ModelConfig.for_model(manifest.model, **manifest.settings)

    def detector(graphs: Path) -> Detector:
        return Detector(OnnxEngine(graphs, config, options.threads), manifest.labels, "benchmark")

    truth, images, others = data(options)
    calibration = record(detector(folder), others, 0.0, REGIONS)
    folders = {FLOAT: folder} | {
        name: replaced(folder, work / name, variant, calibration) for name, variant in VARIANTS.items()
    }
    detectors = {name: detector(graphs) for name, graphs in folders.items()}
    yield loss_sheet(detectors, truth, images)
    timed = [read_image(image) for image in images[: options.timed]]
    recorded = record(detector(folder), timed, SCORE_THRESHOLD)
    columns = {part: graph_runs(folders, part, recorded[part], options.threads) for part in PARTS} | {
        "with masks": whole_runs(detectors, timed, SCORE_THRESHOLD),
        "boxes only": whole_runs(detectors, timed, np.inf),
    }
    yield time_sheet(
        {name: alternate(runs, options.rounds, calls=1) for name, runs in columns.items()}, len(timed)
    )


def data(options: argparse.Namespace) -> tuple[dict[str, Any], Sequence[ImageSource], Sequence[ImageSource]]:
    """COCO's truth, its images, and other images to calibrate on."""
    others: Sequence[ImageSource] = [
        generate_scene(CALIBRATION_SCENES + i, SCENE).image for i in range(options.count)
    ]
    if options.calibrate:
        others = sorted(path for path in options.calibrate.iterdir() if path.is_file())[: options.count]
    if not options.coco:
        examples = SceneExamples(EVALUATED_SCENES, EVALUATED, SCENE)
        return *to_coco(examples, range(EVALUATED)), others
    truth = read_coco(options.coco)
    return truth, [options.images / record["file_name"] for record in truth["images"]], others


def loss_sheet(
    detectors: Mapping[str, Detector], truth: dict[str, Any], images: Sequence[ImageSource]
) -> Sheet:
    """AP of every variant, and what it loses."""
    sheet = Sheet(f"AP on {len(images)} images", ("int8", "box AP", "loss", "mask AP", "loss of masks"))
    found = {name: evaluate(one, truth, images) for name, one in detectors.items()}
    for name, one in found.items():
        sheet.add(name, *_loss(one.box, found[FLOAT].box), *_loss(one.mask, found[FLOAT].mask))
    return sheet


def _loss(
    found: AveragePrecision | None, reference: AveragePrecision | None
) -> tuple[str | None, str | None]:
    if found is None or reference is None:
        return None, None
    return f"{found.AP:.4f}", f"{reference.AP - found.AP:.4f}"


def graph_runs(
    folders: Mapping[str, Path], part: str, inputs: Sequence[Inputs], threads: int | None
) -> dict[str, Callable[[], object]]:
    """Every variant's graph of this part on the same inputs."""
    sessions = {name: open_session(folder / f"{part}.onnx", threads) for name, folder in folders.items()}
    return {name: partial(_run_all, session, inputs) for name, session in sessions.items()}


def _run_all(session: Any, inputs: Sequence[Inputs]) -> None:
    for one in inputs:
        session.run(None, one)


def whole_runs(
    detectors: Mapping[str, Detector], images: Sequence[ImageSource], mask_threshold: float
) -> dict[str, Callable[[], object]]:
    """Every variant's detection of these images."""
    return {
        name: partial(one.predict, images, SCORE_THRESHOLD, mask_threshold) for name, one in detectors.items()
    }


def time_sheet(timed: Mapping[str, Rounds], images: int) -> Sheet:
    """Float's milliseconds per image, and how many times as fast every variant is."""
    sheet = Sheet(
        f"Float's time per image in ms, then float / int8, at score {SCORE_THRESHOLD}", ("int8", *timed)
    )
    sheet.add(FLOAT, *(rounds.median(FLOAT) / images for rounds in timed.values()))
    for name in VARIANTS:
        sheet.add(name, *(f"{rounds.ratio(FLOAT, name):.2f}" for rounds in timed.values()))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="starter", help="with a mask head")
    parser.add_argument("--coco", type=Path, help="annotations to measure AP with; drawn scenes without")
    parser.add_argument("--images", type=Path, help="the folder of their images")
    parser.add_argument("--calibrate", type=Path, help="a folder of other images; drawn scenes without")
    parser.add_argument("--count", type=int, default=24, help="images to calibrate on")
    parser.add_argument("--timed", type=int, default=8, help="images that are timed")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of one inference; one per core without")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work:
        for sheet in measure(parser.parse_args(), Path(work)):
            sheet.show()


if __name__ == "__main__":
    main()
