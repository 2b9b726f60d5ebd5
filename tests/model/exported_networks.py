"""Small networks with their graphs, exported once for all tests, and the pictures that engines are compared on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from small_networks import A_C4, C4, FPN, LABELS, decided, small_network, with_statistics

from fbnetv3 import Detector, Instances
from fbnetv3.engines.agreement import compare
from fbnetv3.engines.engine import Engine
from fbnetv3.engines.export import export
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.network.norms import freeze
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene

#: Smaller than any picture below, so that the network sees sizes of all kinds.
SMALL: dict[str, Any] = {"min_size": 64, "max_size": 96, "detections_per_image": 30}


def frozen(model: RCNN) -> RCNN:
    freeze(model)
    return model


#: Every architecture and every kind of norm, at least once.
NETWORKS: dict[str, Callable[[], RCNN]] = {
    "C4": lambda: with_statistics(decided(small_network(C4, **SMALL))),
    "C4-GN": lambda: decided(small_network(C4, norm="GN", **SMALL)).eval(),
    "A_C4": lambda: with_statistics(decided(small_network(A_C4, **SMALL))),
    "FPN-FrozenBN": lambda: frozen(with_statistics(decided(small_network(FPN, **SMALL)))),
}


@dataclass(frozen=True)
class Pair:
    """A network, the folder of its graphs, and both engines on it."""

    model: RCNN
    folder: Path
    torch: TorchEngine
    onnx: OnnxEngine

    def predict(self, images: list[np.ndarray], **arguments: Any) -> tuple[list[Instances], list[Instances]]:
        """What ONNX Runtime finds, what PyTorch finds."""
        engines: tuple[Engine, Engine] = (self.onnx, self.torch)
        found, expected = (Detector(engine, LABELS, "1").predict(images, **arguments) for engine in engines)
        return found, expected


@cache
def pair(name: str) -> Pair:
    """One of NETWORKS; its export takes seconds and is made when it is first asked for."""
    model = NETWORKS[name]()
    folder = Path(tempfile.mkdtemp(prefix="exported-"))
    atexit.register(shutil.rmtree, folder)
    export(model, folder)
    return Pair(model, folder, TorchEngine(model), OnnxEngine(folder, model.config))


@cache
def scene(seed: int, size: tuple[int, int]) -> np.ndarray:
    return generate_scene(seed, size).image


def check_agreement(found: list[Instances], expected: list[Instances], least: int) -> None:
    agreement = compare(found, expected)
    assert agreement.count >= least
    assert agreement.disagreement is None
