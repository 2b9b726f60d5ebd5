"""The network as ONNX Runtime runs it: exported graphs for the arithmetic, numpy for the choices between them.

Nothing here needs PyTorch, which takes seconds and half a gigabyte to import.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from fbnetv3.arrays import Array
from fbnetv3.config import ModelConfig
from fbnetv3.engines.engine import ClassScores, NetworkOutput, RegionDescriptions, Wanted

Features = dict[str, Array]

CLASS_SCORES = "class_scores.safetensors"
VECTORS, SCORED = "vectors", ["scores", "better boxes"]
"""Outputs of `boxes.onnx`; naming them here needs no exporter, which needs PyTorch."""


@dataclass(frozen=True, eq=False)
class OnnxEncoded:
    """See Encoded; `features` (1, C, h, w) by level."""

    size: tuple[int, int]
    proposals: Array
    features: Features

    @cached_property
    def maps(self) -> Features:
        """See Encoded."""
        return {name: feature[0] for name, feature in self.features.items()}


class OnnxEngine:
    """Runs the graphs in `folder`, which `export` wrote for a model with this configuration.

    `threads`: of one inference; None takes one per core. Several threads may call it at a time.
    """

    name = "onnxruntime"
    #: A batch takes as long as its images one by one (docs/performance.md).
    batch_size = 1

    def __init__(self, folder: Path, config: ModelConfig, threads: int | None = None) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._image = open_session(folder / "image.onnx", threads)
        self._boxes = open_session(folder / "boxes.onnx", threads)
        self._nms = open_session(folder / "nms.onnx", 1)
        masks = folder / "masks.onnx"
        self._masks = open_session(masks, threads) if masks.exists() else None
        self._class_scores = ClassScores(**load_file(folder / CLASS_SCORES))
        self._feature_names = [entry.name for entry in self._boxes.get_inputs()[:-1]]
        self._outputs = [entry.name for entry in self._image.get_outputs()]
        self._levels = [name.removeprefix("logits ") for name in self._outputs if name.startswith("logits ")]

    @property
    def config(self) -> ModelConfig:
        """The configuration of the network."""
        return self._config

    @property
    def has_masks(self) -> bool:
        """Whether there is a mask head."""
        return self._masks is not None

    @property
    def class_scores(self) -> ClassScores:
        """See Engine."""
        return self._class_scores

    def encode(self, images: Sequence[Array]) -> list[OnnxEncoded]:
        """See Engine."""
        return [self._encode_in_turn(image) for image in images]

    def detect(self, encoded: Sequence[OnnxEncoded], wanted: Wanted) -> list[NetworkOutput]:
        """See Engine."""
        return [self._detect_in_turn(one, wanted) for one in encoded]

    def classify(self, encoded: OnnxEncoded, boxes: Array) -> tuple[Array, Array]:
        """See Engine."""
        with self._lock:
            scores, better = self._boxes.run(SCORED, {**encoded.features, "boxes": boxes})
        return scores, better.reshape(len(boxes), -1, 4)

    def describe(self, encoded: OnnxEncoded, boxes: Array) -> RegionDescriptions:
        """See Engine."""
        with self._lock:
            vectors, scores, better = self._boxes.run(
                [VECTORS, *SCORED], {**encoded.features, "boxes": boxes}
            )
        return RegionDescriptions(vectors, scores, better.reshape(len(boxes), -1, 4))

    def mask_probabilities(self, encoded: OnnxEncoded, boxes: Array, classes: Array) -> Array:
        """See Engine."""
        with self._lock:
            return self._mask_probabilities(encoded.features, boxes, classes)

    def _encode_in_turn(self, image: Array) -> OnnxEncoded:
        """One image after the other, each with all threads.

        Side by side several clients get 8 to 17 % more done, but the server needs 150 MB more and everything else
        that it does waits longer (docs/performance.md).
        """
        with self._lock:
            return self._encode(image)

    def _detect_in_turn(self, encoded: OnnxEncoded, wanted: Wanted) -> NetworkOutput:
        with self._lock:
            return self._detect(encoded, wanted)

    def _encode(self, image: Array) -> OnnxEncoded:
        height, width = image.shape[1:]
        outputs = dict(zip(self._outputs, self._image.run(None, {"image": image}), strict=True))
        proposals = self._propose(outputs, _corner((height, width)))
        return OnnxEncoded((height, width), proposals, {name: outputs[name] for name in self._feature_names})

    def _detect(self, encoded: OnnxEncoded, wanted: Wanted) -> NetworkOutput:
        features = encoded.features
        boxes, scores, classes = self._choose(features, encoded.proposals, _corner(encoded.size), wanted)
        masked = scores >= wanted.masks[classes]
        masks = self._mask_probabilities(features, boxes[masked], classes[masked]) if self.has_masks else None
        return NetworkOutput(boxes, scores, classes, masked, masks)

    def _mask_probabilities(self, features: Features, boxes: Array, classes: Array) -> Array:
        assert self._masks is not None
        side = 2 * self.config.mask_pooler_resolution
        if not len(boxes):
            return np.zeros((0, side, side), np.float32)
        probabilities: Array
        [probabilities] = self._masks.run(None, {**features, "boxes": boxes, "classes": classes})
        return probabilities

    def _propose(self, outputs: dict[str, Array], corner: Array) -> Array:
        """The boxes (r, 4) that are most likely to hold something."""
        config = self.config
        best = [_largest(outputs[f"logits {level}"], config.pre_nms_proposals_test) for level in self._levels]
        chosen = list(zip(self._levels, best, strict=True))
        boxes = np.concatenate([outputs[f"boxes {level}"][i] for level, i in chosen]).clip(0, corner)
        logits = np.concatenate([outputs[f"logits {level}"][i] for level, i in chosen])
        level_of = np.repeat(np.arange(len(best)), [len(i) for i in best])
        usable = (boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(boxes).all(1) & np.isfinite(logits)
        boxes, logits, level_of = boxes[usable], logits[usable], level_of[usable]
        limit, count = config.rpn_nms_threshold, config.post_nms_proposals_test
        kept: Array = boxes[self._suppress(boxes, logits, level_of, limit, count)]
        return kept

    def _choose(
        self, features: Features, proposals: Array, corner: Array, wanted: Wanted
    ) -> tuple[Array, Array, Array]:
        """Boxes, scores and classes of the detections.

        Looking only at what the least demanding class wants changes no other detection: in non-maximum
        suppression the weaker never decides about the stronger.
        """
        config = self.config
        if not len(proposals):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        scores, boxes = self._boxes.run(SCORED, {**features, "boxes": proposals})
        boxes = boxes.reshape(len(proposals), -1, 4)
        usable = np.isfinite(boxes).all((1, 2)) & np.isfinite(scores).all(1)
        likely = (scores > config.score_threshold) & (scores >= wanted.boxes.min()) & usable[:, None]
        regions, classes = np.nonzero(likely)
        boxes, scores = boxes[regions, classes].clip(0, corner), scores[regions, classes]
        keep = self._suppress(boxes, scores, classes, config.nms_threshold, config.detections_per_image)
        keep = keep[scores[keep] >= wanted.boxes[classes[keep]]]
        return boxes[keep], scores[keep], classes[keep]

    def _suppress(self, boxes: Array, scores: Array, group_of: Array, limit: float, count: int) -> Array:
        """Indices of the best `count` boxes, best first, of which none overlaps a better one of its group.

        Groups are moved apart, so that boxes of two of them never overlap.
        """
        if not len(boxes):
            return np.zeros(0, np.int64)
        apart = boxes + (group_of * (boxes.max() + 1))[:, None].astype(np.float32)
        inputs = {
            "boxes": apart,
            "scores": scores,
            "limit": np.array([limit], np.float32),
            "count": np.array([count], np.int64),
        }
        kept: Array
        [kept] = self._nms.run(None, inputs)
        return kept


def open_session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """A graph, ready to run on so many threads; None is one per core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Waiting threads sleep: spinning, they take the cores from whatever else the machine does.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _corner(size: tuple[int, int]) -> Array:
    """The largest coordinates (4,) of a box in an input of this size."""
    height, width = size
    return np.array([width, height] * 2, np.float32)


def _largest(values: Array, count: int) -> Array:
    """Indices of the `count` largest values, largest first."""
    if count < len(values):
        chosen = np.argpartition(values, -count)[-count:]
        return chosen[np.argsort(-values[chosen], kind="stable")]
    return np.argsort(-values, kind="stable")
