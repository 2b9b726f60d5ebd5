"""Images in, ImageNet classes out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnetv3.arrays import Array, softmax
from fbnetv3.classification.engines import Engine, OnnxEngine, TorchEngine
from fbnetv3.classification.preprocessing import to_input
from fbnetv3.config import ConfigError
from fbnetv3.engines import exports
from fbnetv3.engines.opening import EngineName
from fbnetv3.images import MAX_PIXELS, ImageSource, read_image
from fbnetv3.weights.zoo import CLASSIFIER

logger = logging.getLogger(__name__)

#: The module whose process exports a classifier.
EXPORTER = "fbnetv3.classification.exporting"


class Classifier:
    """The network `dmasking_l3` with its labels, ready for images. Safe to use from several threads.

    An image with more than `max_pixels` pixels is refused.
    """

    def __init__(
        self, engine: Engine, labels: Sequence[str], version: str, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.engine = engine
        self.labels = tuple(labels)
        self.version = version
        self.max_pixels = max_pixels

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        engine: EngineName = "auto",
        device: str = "cpu",
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Classifier:
        """A classifier from the published file (docs/classify.md), or from a safetensors file of it.

        `engine`: `auto` is ONNX Runtime on the CPU and PyTorch elsewhere; the first time that ONNX Runtime runs
        some weights they are exported, which takes seconds. `threads`: of one inference; None is one per core.
        Raises WeightsError, ConfigError.
        """
        path = Path(weights).expanduser()
        if engine == "onnxruntime" and device != "cpu":
            raise ConfigError("the engine onnxruntime runs on the device cpu; choose auto or torch")
        if engine == "torch" or device != "cpu":
            return cls._with_torch(path, device, threads, max_pixels)
        try:
            folder, manifest = exports.obtain(path, {}, EXPORTER)
        except exports.ExportError as error:
            refusal: str | None = str(error)
        else:
            refusal = manifest.refusal
        if refusal is not None:
            classifier = cls._with_torch(path, device, threads, max_pixels)
            logger.warning("PyTorch runs %s, not ONNX Runtime: %s", path, refusal)
            return classifier
        return cls(OnnxEngine(folder, threads), manifest.labels, _version(manifest.digest), max_pixels)

    @classmethod
    def _with_torch(cls, path: Path, device: str, threads: int | None, max_pixels: int) -> Classifier:
        from fbnetv3.classification.imagenet_weights import build_classifier, read_classifier

        checkpoint = read_classifier(path)
        engine = TorchEngine(build_classifier(checkpoint), device, threads)
        return cls(engine, checkpoint.labels, _version(checkpoint.digest), max_pixels)

    def probabilities(self, image: Array) -> Array:
        """(H, W, 3) uint8 RGB -> (classes,) float32: how likely each class is; they add up to one."""
        [logits] = self.engine.logits(to_input(image))
        return softmax(logits)

    def classify(self, images: Sequence[ImageSource], top: int = 5) -> list[list[tuple[str, float]]]:
        """The `top` likeliest labels of each image with their probabilities, likeliest first.

        Raises ImageError for a source that cannot be read.
        """
        return [self._best(self.probabilities(read_image(image, self.max_pixels)), top) for image in images]

    def _best(self, probabilities: Array, top: int) -> list[tuple[str, float]]:
        order = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.labels[index], float(probabilities[index])) for index in order]


def _version(digest: str) -> str:
    return f"{CLASSIFIER}-{digest}"
