"""What is measured: one network at one input size, on one picture, with exactly so many masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fbnetv3.detector import Detector
from fbnetv3.engines.engine import Wanted
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.factory import create_model
from fbnetv3.images import network_size, read_image, to_network
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import load_checkpoint

MASK_COUNT = 20

#: What is compared.
ORIGINAL, TORCH, ONNX = "the original's way", "torch", "onnxruntime"

SIZES: dict[str, dict[str, Any]] = {
    "the zoo's 224/320, 30 proposals": {"min_size": 224, "max_size": 320, "post_nms_proposals_test": 30},
    "the weights' own size": {},
}

#: Training draws from the first million.
UNSEEN_SCENE = 3_000_000


@dataclass(frozen=True)
class Subject:
    """`image` (H, W, 3) uint8; `pixels` (3, h, w) float32, the same as the network sees it.

    `model` is in evaluation mode and in PyTorch's own memory format; `settings` let through its best MASK_COUNT
    detections in this picture. `threads` of one inference, None for one per core.
    """

    name: str
    weights: str
    image: np.ndarray
    pixels: np.ndarray
    model: RCNN
    labels: tuple[str, ...]
    settings: dict[str, Any]
    threads: int | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def onnx_detector(self) -> Detector:
        """This network in ONNX Runtime. Ends the program where only PyTorch can run it."""
        return onnx_detector(self.weights, self.threads, self.settings)


def onnx_detector(weights: str, threads: int | None, settings: dict[str, Any]) -> Detector:
    """A detector that runs in ONNX Runtime. Ends the program where only PyTorch can run it."""
    detector = Detector.load(weights, engine="onnxruntime", threads=threads, **settings)
    if detector.engine.name != "onnxruntime":
        raise SystemExit(f"ONNX Runtime cannot run {weights} here; the log says why")
    return detector


def picture(file: Path | None) -> np.ndarray:
    """The photo in `file`, or a drawn scene of 640 x 480."""
    return read_image(file) if file else generate_scene(UNSEEN_SCENE).image


def subject(name: str, size: dict[str, Any], weights: str, image: np.ndarray, threads: int | None) -> Subject:
    """The network of these weights with the settings `size`, such as those of SIZES."""
    if threads:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(weights)
    model = create_model(checkpoint.model, checkpoint, **size).eval()
    if not model.has_masks:
        raise SystemExit(f"{weights} has no mask head; its speed is that of Faster R-CNN of weights with one")
    height, width = image.shape[:2]
    net_size = network_size(height, width, model.config.min_size, model.config.max_size)
    pixels = to_network(image, net_size)
    settings = {**size, **_letting_through(model, pixels)}
    model = create_model(checkpoint.model, checkpoint, **settings).eval()
    title = f"{Path(weights).stem}, {name} ({net_size[1]} x {net_size[0]} px)"
    return Subject(title, weights, image, pixels, model, checkpoint.labels, settings, threads)


def _letting_through(model: RCNN, pixels: np.ndarray) -> dict[str, Any]:
    """A score threshold above which there are MASK_COUNT detections: no engine has more than these to choose from."""
    model.config = model.config.model_copy(
        update={"score_threshold": 0.0, "detections_per_image": MASK_COUNT + 1}
    )
    everything = np.zeros(model.config.num_classes, np.float32)
    engine = TorchEngine(model)
    [found] = engine.detect(engine.encode([pixels]), Wanted(everything, everything + np.inf))
    if len(found.scores) <= MASK_COUNT:
        raise SystemExit(
            f"the network sees fewer than {MASK_COUNT + 1} objects in this picture, give another --image"
        )
    between = float(found.scores[MASK_COUNT - 1 :].mean())
    return {"score_threshold": between, "detections_per_image": MASK_COUNT}
