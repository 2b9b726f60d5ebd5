"""Images in, instances out: the one door through which everything else uses a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.engines.engine import Engine, NetworkOutput, Wanted
from fbnetv3.engines.opening import EngineName, open_engine
from fbnetv3.images import MAX_PIXELS, ImageSource, network_size, read_image, to_network
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.pasting import paste_mask
from fbnetv3.weights import Checkpoint

#: The least score that is wanted: one for every label, or one for each label that is wanted at all.
Threshold = float | Mapping[str, float]

NO_MASK = BoxMask(0, 0, np.zeros((0, 0), bool))


class Detector:
    """A network with its labels, ready to look at images. Safe to use from several threads.

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
        weights: str | Path | Checkpoint = "starter",
        *,
        engine: EngineName = "auto",
        device: str = "cpu",
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        version: str | None = None,
        **settings: Any,
    ) -> Detector:
        """A detector from a zoo name, a weights file or a read checkpoint; `settings` are fields of ModelConfig.

        `engine`: `auto` is ONNX Runtime on the CPU and PyTorch elsewhere; the first time that ONNX Runtime runs
        some weights they are exported, which takes seconds. `threads`: of one inference; None is one per core.
        `version`: what to call it; None is the name of the weights and a digest of their content. Raises WeightsError,
        ConfigError.
        """
        opened = open_engine(weights, engine, device, threads, settings)
        name = weights.model if isinstance(weights, Checkpoint) else weights
        return cls(opened.engine, opened.labels, version or version_of(name, opened.digest), max_pixels)

    @property
    def has_masks(self) -> bool:
        """Whether instances carry masks."""
        return self.engine.has_masks

    def predict(
        self,
        images: Sequence[ImageSource],
        score_threshold: Threshold = 0.0,
        mask_threshold: Threshold | None = None,
    ) -> list[Instances]:
        """The instances of each image, in order, at the image's own size.

        `score_threshold` (0..1) drops what scores less; the model's own threshold holds in any case.
        `mask_threshold` (default: the same) is the score from which on an instance gets a mask, the dearest part of
        it; without one its mask is empty. Raises ImageError for a source that cannot be read.
        """
        arrays = [read_image(image, self.max_pixels) for image in images]
        least = self._least_scores(score_threshold)
        wanted = Wanted(least, least if mask_threshold is None else self._least_scores(mask_threshold))
        results: dict[int, Instances] = {}
        for batch in _batches(arrays, self.engine.batch_size):
            inputs = [to_network(arrays[i], self.network_size(arrays[i])) for i in batch]
            for index, found in zip(batch, self.engine.detect(inputs, wanted), strict=True):
                results[index] = self._to_instances(found, arrays[index])
        return [results[index] for index in range(len(arrays))]

    def network_size(self, image: np.ndarray) -> tuple[int, int]:
        """(height, width) at which the network sees this image."""
        height, width = image.shape[:2]
        return network_size(height, width, self.engine.config.min_size, self.engine.config.max_size)

    def _least_scores(self, threshold: Threshold) -> np.ndarray:
        """The threshold of each class; infinity for a label that is not wanted."""
        if isinstance(threshold, Mapping):
            return np.array([threshold.get(label, np.inf) for label in self.labels], np.float32)
        return np.full(len(self.labels), threshold, np.float32)

    def _to_instances(self, found: NetworkOutput, image: np.ndarray) -> Instances:
        """Scale boxes to the image, drop empty ones, paste the masks (detectron2 postprocessing.py)."""
        height, width = image.shape[:2]
        net_height, net_width = self.network_size(image)
        scale = np.array([width / net_width, height / net_height] * 2, np.float32)
        boxes = (found.boxes * scale).clip(0, np.array([width, height] * 2, np.float32))
        keep = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
        masks = None
        if found.mask_probabilities is not None:
            threshold = self.engine.config.mask_threshold
            probability_of = dict(zip(np.flatnonzero(found.masked), found.mask_probabilities, strict=True))
            masks = tuple(
                paste_mask(probability_of[i], boxes[i], (height, width), threshold)
                if i in probability_of
                else NO_MASK
                for i in keep
            )
        return Instances(
            (height, width),
            boxes[keep],
            found.scores[keep],
            found.classes[keep],
            self.labels,
            masks,
        )


def version_of(weights: str | Path, digest: str) -> str:
    """The version of a detector: the name of its weights, `-`, and the digest of their content."""
    return f"{Path(weights).stem}-{digest}"


def _batches(arrays: Sequence[np.ndarray], size: int) -> Iterator[list[int]]:
    """Indices of images of one shape, at most `size` at a time: within a batch nothing is padded."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        by_shape.setdefault(array.shape, []).append(index)
    for indices in by_shape.values():
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
