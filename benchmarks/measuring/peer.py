"""Faster R-CNN in ONNX Runtime beside `d2go.pt`, the int8 TorchScript that d2go's Android demo ships.

Both get the same pixels, 224/320 with 30 proposals, and give boxes. Of the file only the network runs: what is
around it takes 0..1 and makes every picture 320 pixels high or wide first, which is more work.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.ops  # noqa: F401  the file calls its operators

from fbnetv3.engines.engine import Wanted
from fbnetv3.images import network_size, to_network
from measuring.rounds import alternate
from measuring.sheets import Sheet
from measuring.subject import ONNX, SIZES, onnx_detector

#: PyTorch's int8 engines that the file can run on; which of them exist depends on the processor.
INT8_ENGINES = ("x86", "fbgemm", "qnnpack")
SIZE = SIZES["the zoo's 224/320, 30 proposals"]


def measure(file: Path, weights: str, image: np.ndarray, threads: int | None, rounds: int) -> Sheet:
    """One row per engine; `detections` tells whether an engine does the work at all."""
    height, width = image.shape[:2]
    pixels = to_network(image, network_size(height, width, SIZE["min_size"], SIZE["max_size"]))
    runs: dict[str, Callable[[], Any]] = {ONNX: _ours(weights, pixels, threads)}
    for engine in INT8_ENGINES:
        if engine in torch.backends.quantized.supported_engines:
            runs[f"int8, {engine}"] = _theirs(file, engine, pixels)
    timed = alternate(runs, rounds)
    sheet = Sheet(
        f"Faster R-CNN beside the published int8 export: {Path(weights).stem}",
        ("engine", "ms", "over onnxruntime", "detections"),
    )
    for name, run in runs.items():
        sheet.add(name, timed.median(name), timed.ratio(name, ONNX), run())
    return sheet


def _ours(weights: str, pixels: np.ndarray, threads: int | None) -> Callable[[], int]:
    engine = onnx_detector(weights, threads, SIZE).engine
    everything = np.zeros(engine.config.num_classes, np.float32)
    boxes_only = Wanted(everything, everything + np.inf)
    return lambda: len(engine.detect(engine.encode([pixels]), boxes_only)[0].scores)


def _theirs(file: Path, engine: str, pixels: np.ndarray) -> Callable[[], int]:
    torch.backends.quantized.engine = engine
    image = torch.from_numpy(pixels)

    @torch.no_grad()
    def detect() -> int:
        torch.backends.quantized.engine = engine
        boxes, *_ = network(image)
        return len(boxes)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the file uses is old
        network = torch.jit.load(file).model
        detect()
    return detect
