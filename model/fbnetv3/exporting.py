"""The process that makes an export: `python -m fbnetv3.exporting WEIGHTS FOLDER SETTINGS_AS_JSON`.

It exports, compares the two engines, and writes the manifest last.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fbnetv3.detector import Detector
from fbnetv3.engines.agreement import Agreement, compare
from fbnetv3.engines.export import export
from fbnetv3.engines.exports import MANIFEST, Manifest
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.errors import FbnetError
from fbnetv3.factory import create_model
from fbnetv3.files import file_sha256
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene
from fbnetv3.weights.store import load_checkpoint

#: Pictures that the engines are compared on, (height, width): drawn, so that they are there on every machine.
SIZES = ((480, 640), (640, 480), (400, 400))
#: The best instances of each picture are compared, however little they score: every network finds some.
COMPARED = 40


def main(weights: str, folder: Path, settings: dict[str, Any]) -> None:
    """Fill `folder`, which exists and is empty."""
    checkpoint = load_checkpoint(weights)
    model = create_model(checkpoint.model, checkpoint, **settings).eval()
    export(model, folder)
    agreement = compare_engines(model, folder, checkpoint.labels)
    manifest = Manifest(
        model=model.name,
        labels=checkpoint.labels,
        settings=model.config.model_dump(mode="json"),
        digest=checkpoint.digest,
        agreement=asdict(agreement),
        refusal=agreement.disagreement,
        files={path.name: file_sha256(path) for path in sorted(folder.iterdir())},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")


def compare_engines(model: RCNN, folder: Path, labels: tuple[str, ...]) -> Agreement:
    """How far the graphs in `folder` agree with the model that they were made from."""
    own = model.config
    model.config = own.model_copy(update={"score_threshold": 0.0, "detections_per_image": COMPARED})
    images = [generate_scene(seed, size).image for seed, size in enumerate(SIZES)]
    engines = (OnnxEngine(folder, model.config), TorchEngine(model))
    found, expected = (Detector(engine, labels, "comparison").predict(images) for engine in engines)
    model.config = own
    return compare(found, expected)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
    except FbnetError as error:
        sys.exit(str(error))
