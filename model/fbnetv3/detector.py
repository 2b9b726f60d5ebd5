"""Images in, instances out: the one door through which everything else uses a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.config import RefinedEdges
from fbnetv3.edges import cut_mask
from fbnetv3.engines.engine import Engine, NetworkOutput, Wanted
from fbnetv3.engines.opening import EngineName, open_engine
from fbnetv3.image_features import ImageFeatures
from fbnetv3.images import MAX_PIXELS, ImageSource, network_size, read_image, to_network
from fbnetv3.instances import NO_MASK, Instances
from fbnetv3.prompts.reader import PromptReader
from fbnetv3.weights import Checkpoint

__all__ = ["Detector", "ImageFeatures", "Threshold", "version_of"]

#: The least score that is wanted: one for every label, or one for each label that is wanted at all.
Threshold = float | Mapping[str, float]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Detector:
    """A network with its labels, ready for images. Safe to use from several threads.

    An image with more than `max_pixels` pixels is refused. `refined_edges`: which masks get edges that follow the
    image (edges.py): those of prompts, all, or none.
    """

    def __init__(
        self,
        engine: Engine,
        labels: Sequence[str],
        version: str,
        max_pixels: int = MAX_PIXELS,
        refined_edges: RefinedEdges = "prompts",
    ) -> None:
        self.engine = engine
        self.labels = tuple(labels)
        self.version = version
        self.max_pixels = max_pixels
        self._refined_edges = refined_edges
        self._prompts = PromptReader(engine, self.labels, refine=refined_edges != "none")

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
        refined_edges: RefinedEdges = "prompts",
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
        version = version or version_of(name, opened.digest)
        return cls(opened.engine, opened.labels, version, max_pixels, refined_edges)

    def with_labels(self, labels: Sequence[str]) -> Detector:
        """The same detector with other names for its labels, in their order."""
        return self.with_engine(self.engine, labels, self.version)

    def with_engine(self, engine: Engine, labels: Sequence[str], version: str) -> Detector:
        """A detector with the same options and another network."""
        return Detector(engine, labels, version, self.max_pixels, self._refined_edges)

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
        `mask_threshold` (default: the same) is the score from which on an instance gets a mask, the most expensive
        part of it; without one its mask is empty. Raises ImageError for a source that cannot be read.
        """
        return self.find(self.set_images(images), score_threshold, mask_threshold)

    def set_image(self, image: ImageSource) -> ImageFeatures:
        """The expensive step, once for an image; what `find` and the prompts read of it is cheap.

        Raises ImageError for a source that cannot be read.
        """
        return self.set_images([image])[0]

    def set_images(self, images: Sequence[ImageSource]) -> list[ImageFeatures]:
        """The same for several images, in order."""
        arrays = [read_image(image, self.max_pixels) for image in images]
        return self._in_batches(arrays, arrays, self._encode)

    def find(
        self,
        features: Sequence[ImageFeatures],
        score_threshold: Threshold = 0.0,
        mask_threshold: Threshold | None = None,
    ) -> list[Instances]:
        """What `predict` finds, in images that were set."""
        least = self._least_scores(score_threshold)
        wanted = Wanted(least, least if mask_threshold is None else self._least_scores(mask_threshold))
        return self._in_batches(
            features, [one.pixels for one in features], lambda batch: self._find(batch, wanted)
        )

    def mask_in_box(self, features: ImageFeatures, box: Array, labels: Sequence[str] = ()) -> Instances:
        """The object in a drawn box (4,), x0, y0, x1, y1 in pixels of the image: one instance, or none.

        `labels`: those of this detector that the object may have; without any, all. From a network without masks the
        instance is a box alone.
        """
        return self._prompts.in_box(features, box, labels)

    def mask_at_points(
        self, features: ImageFeatures, points: Array, positive: Array, labels: Sequence[str] = ()
    ) -> Instances:
        """The object at clicks (k, 2), x, y in pixels of the image, which are on it where `positive` (k,) bool.

        One instance that contains all positive clicks and no other, or none.
        """
        return self._prompts.at_points(features, points, positive, labels)

    def network_size(self, image: Array) -> tuple[int, int]:
        """(height, width) at which the network sees this image."""
        height, width = image.shape[:2]
        return network_size(height, width, self.engine.config.min_size, self.engine.config.max_size)

    def _encode(self, images: Sequence[Array]) -> list[ImageFeatures]:
        inputs = [to_network(image, self.network_size(image)) for image in images]
        encoded = self.engine.encode(inputs)
        return [ImageFeatures(image, one) for image, one in zip(images, encoded, strict=True)]

    def _find(self, features: Sequence[ImageFeatures], wanted: Wanted) -> list[Instances]:
        found = self.engine.detect([one.encoded for one in features], wanted)
        return [self._to_instances(output, one) for output, one in zip(found, features, strict=True)]

    def _in_batches(
        self, items: Sequence[Item], images: Sequence[Array], work: Callable[[list[Item]], list[Result]]
    ) -> list[Result]:
        """`work` on items whose images have one shape, as many at a time as the engine wants; in order."""
        results: dict[int, Result] = {}
        for batch in _batches(images, self.engine.batch_size):
            results |= zip(batch, work([items[i] for i in batch]), strict=True)
        return [results[index] for index in range(len(items))]

    def _least_scores(self, threshold: Threshold) -> Array:
        """The threshold of each class; infinity for a label that is not wanted."""
        if isinstance(threshold, Mapping):
            return np.array([threshold.get(label, np.inf) for label in self.labels], np.float32)
        return np.full(len(self.labels), threshold, np.float32)

    def _to_instances(self, found: NetworkOutput, features: ImageFeatures) -> Instances:
        """Scale boxes to the image, drop empty ones, paste the masks (detectron2 postprocessing.py)."""
        height, width = features.image_size
        boxes = (found.boxes * features.scale).clip(0, np.array([width, height] * 2, np.float32))
        keep = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
        masks = None
        if found.mask_probabilities is not None:
            threshold, refine = self.engine.config.mask_threshold, self._refined_edges == "all"
            probability_of = dict(zip(np.flatnonzero(found.masked), found.mask_probabilities, strict=True))
            masks = tuple(
                cut_mask(features.pixels, probability_of[i], boxes[i], threshold, refine)
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


def _batches(arrays: Sequence[Array], size: int) -> Iterator[list[int]]:
    """Indices of images of one shape, at most `size` at a time: within a batch nothing is padded."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        by_shape.setdefault(array.shape, []).append(index)
    for indices in by_shape.values():
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
