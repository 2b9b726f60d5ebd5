"""The process that exports a classifier: `python -m fbnetv3.classification.exporting WEIGHTS FOLDER SETTINGS`.

It exports, compares the two engines on drawn pictures, and writes the manifest last. There are no settings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from fbnetv3.classification.classifier import Classifier
from fbnetv3.classification.engines import GRAPH, OnnxEngine, TorchEngine
from fbnetv3.classification.imagenet_weights import build_classifier, read_classifier
from fbnetv3.classification.padding import pad_widths
from fbnetv3.classification.preprocessing import CROPPED
from fbnetv3.engines.export import export_graph
from fbnetv3.engines.exports import MANIFEST, Manifest
from fbnetv3.engines.folding import folded
from fbnetv3.files import file_sha256
from fbnetv3.network.classifier import ClassifierNetwork
from fbnetv3.scenes import generate_scene
from fbnetv3.weights.checkpoint import WeightsError

#: (height, width) of the pictures that the engines are compared on.
SIZES = ((480, 640), (640, 480), (400, 400))
#: How far the probability of a class may differ.
LIMIT = 1e-3


def main(weights: Path, folder: Path) -> None:
    """Fill `folder`, which exists and is empty."""
    checkpoint = read_classifier(weights)
    network = build_classifier(checkpoint)
    export(network, folder)
    difference = compare(network, folder, checkpoint.labels)
    manifest = Manifest(
        model=checkpoint.model,
        labels=checkpoint.labels,
        settings={},
        digest=checkpoint.digest,
        agreement={"probability": difference},
        refusal=None
        if difference <= LIMIT
        else f"its probabilities differ from PyTorch's by {difference:.2g}",
        files={GRAPH: file_sha256(folder / GRAPH)},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")


def export(network: ClassifierNetwork, folder: Path) -> None:
    """Write the graph of one image into an existing folder."""
    example = torch.zeros(1, 3, CROPPED, CROPPED)
    network = folded(network)
    pad_widths(network)
    export_graph(network, (example,), ["image"], ["logits"], ({},), folder / GRAPH)


def compare(network: ClassifierNetwork, folder: Path, labels: tuple[str, ...]) -> float:
    """The largest difference between the engines' probabilities; infinity where one has none."""
    images = [generate_scene(seed, size).image for seed, size in enumerate(SIZES)]
    ours, theirs = (
        np.stack([Classifier(engine, labels, "comparison").probabilities(image) for image in images])
        for engine in (OnnxEngine(folder), TorchEngine(network))
    )
    difference = np.abs(ours - theirs).max()
    return float(difference) if np.isfinite(difference) else float("inf")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except WeightsError as error:
        sys.exit(str(error))
