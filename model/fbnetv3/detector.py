"""Images in, instances out: the one door through which everything else uses a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fbnetv3.factory import create_model
from fbnetv3.images import MAX_PIXELS, ImageSource, network_size, read_image, to_network
from fbnetv3.instances import Instances
from fbnetv3.network.mask_head import paste_mask
from fbnetv3.network.rcnn import RCNN, Detections
from fbnetv3.weights import Checkpoint, load_checkpoint

#: Images of one size that go through the network at once.
BATCH_SIZE = 4


class Detector:
    """A network with its labels, ready to look at images. Safe to use from several threads.

    An image with more than `max_pixels` pixels is refused.
    """

    def __init__(
        self,
        model: RCNN,
        labels: Sequence[str],
        version: str,
        device: str = "cpu",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        # Channels last is 1.7 times faster on a CPU (docs/detector.md).
        self.model = model.eval().to(device).to(memory_format=torch.channels_last)
        self.labels = tuple(labels)
        self.version = version
        self.device = device
        self.max_pixels = max_pixels
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        weights: str | Path | Checkpoint = "starter",
        *,
        device: str = "cpu",
        max_pixels: int = MAX_PIXELS,
        **settings: Any,
    ) -> Detector:
        """A detector from a zoo name, a weights file or a read checkpoint; `settings` are fields of ModelConfig.

        Its `version` is the name of the weights and a digest of their content. Raises WeightsError, ConfigError.
        """
        name = weights.model if isinstance(weights, Checkpoint) else weights
        checkpoint = weights if isinstance(weights, Checkpoint) else load_checkpoint(weights)
        model = create_model(checkpoint.model, checkpoint, **settings)
        return cls(model, checkpoint.labels, version_of(name, checkpoint), device, max_pixels)

    @property
    def has_masks(self) -> bool:
        """Whether instances carry masks."""
        return self.model.has_masks

    def predict(self, images: Sequence[ImageSource], score_threshold: float | None = None) -> list[Instances]:
        """The instances of each image, in order, at the image's own size.

        `score_threshold` (0..1) drops what scores less; the model's own threshold holds in any case. Images of the
        same shape share a batch. Raises ImageError for a source that cannot be read.
        """
        arrays = [read_image(image, self.max_pixels) for image in images]
        results: list[Instances | None] = [None] * len(arrays)
        for batch in _batches(arrays):
            detections = self._detect([arrays[i] for i in batch], score_threshold or 0.0)
            for index, found in zip(batch, detections, strict=True):
                results[index] = self._to_instances(found, arrays[index])
        return [result for result in results if result is not None]

    def network_size(self, image: np.ndarray) -> tuple[int, int]:
        """(height, width) at which the network sees this image."""
        height, width = image.shape[:2]
        return network_size(height, width, self.model.config.min_size, self.model.config.max_size)

    def _detect(self, arrays: Sequence[np.ndarray], lowest_score: float) -> list[Detections]:
        inputs = [to_network(array, self.network_size(array)).to(self.device) for array in arrays]
        with self._lock, torch.inference_mode():
            found = self.model(inputs, lowest_score=lowest_score)
        return [one.map(Tensor.cpu) for one in found]

    def _to_instances(self, found: Detections, image: np.ndarray) -> Instances:
        """Scale boxes to the image, drop empty ones, paste the masks (detectron2 postprocessing.py)."""
        height, width = image.shape[:2]
        net_height, net_width = self.network_size(image)
        scale = np.array([width / net_width, height / net_height] * 2, np.float32)
        boxes = (found.boxes.numpy() * scale).clip(0, np.array([width, height] * 2, np.float32))
        keep = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        masks = None
        if found.mask_probabilities is not None:
            threshold = self.model.config.mask_threshold
            masks = tuple(
                paste_mask(found.mask_probabilities[i], boxes[i], (height, width), threshold) for i in keep
            )
        return Instances(
            (height, width),
            boxes[keep],
            found.scores.numpy()[keep],
            found.classes.numpy()[keep],
            self.labels,
            masks,
        )


def version_of(weights: str | Path, checkpoint: Checkpoint) -> str:
    """The version of a detector with these weights: their name, `-`, and the digest of their content."""
    return f"{Path(weights).stem}-{checkpoint.digest}"


def _batches(arrays: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Indices of images of one shape, a few at a time: within a batch nothing is padded."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        by_shape.setdefault(array.shape, []).append(index)
    for indices in by_shape.values():
        for start in range(0, len(indices), BATCH_SIZE):
            yield indices[start : start + BATCH_SIZE]
