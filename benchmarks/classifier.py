"""Time per image of the classifier: PyTorch against ONNX Runtime, and what preparing an image takes of it.

    python benchmarks/classifier.py [--weights FILE] [--threads N] [--images N] [--rounds N]

Uses generated scenes and, without a file, random weights: the time does not depend on their values. The engines take
turns in every round, and the ratio is the median over the rounds: the machine's mood cancels out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from fbnetv3.classification.classifier import Classifier
from fbnetv3.classification.imagenet_weights import imagenet_labels
from fbnetv3.classification.preprocessing import to_input
from fbnetv3.network.classifier import ClassifierNetwork
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import Checkpoint, write_checkpoint
from fbnetv3.weights.zoo import CLASSIFIER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    images = [generate_scene(2_000_000 + i).image for i in range(arguments.images)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MODEL_DIR"] = folder
        weights = arguments.weights or random_weights(Path(folder) / "random.safetensors")
        torch, onnx = (
            Classifier.load(weights, engine=name, threads=arguments.threads)
            for name in ("torch", "onnxruntime")
        )
    assert onnx.engine.name == "onnxruntime"
    runs: dict[str, Callable[[np.ndarray], object]] = {
        "PyTorch": torch.probabilities,
        "ONNX Runtime": onnx.probabilities,
        "preparing alone": to_input,
    }
    print_times(rounds(runs, images, arguments.rounds))


def random_weights(path: Path) -> Path:
    """A file of weights that were never trained."""
    write_checkpoint(Checkpoint(ClassifierNetwork().state_dict(), CLASSIFIER, imagenet_labels()), path)
    return path


def rounds(
    runs: dict[str, Callable[[np.ndarray], object]], images: list[np.ndarray], count: int
) -> dict[str, list[float]]:
    """Milliseconds per image of each run in each round; one more round warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(count + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            for image in images:
                run(image)
            if turn:
                times[name].append(1000 * (time.perf_counter() - started) / len(images))
    return times


def print_times(times: dict[str, list[float]]) -> None:
    """The median of each run, and of its ratio to the first one in the same round."""
    first = next(iter(times.values()))
    for name, values in times.items():
        ratio = statistics.median(value / reference for value, reference in zip(values, first, strict=True))
        print(f"{name:16} {statistics.median(values):7.1f} ms per image, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
