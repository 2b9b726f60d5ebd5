"""From weights to an engine that runs them: which one, and what happens when it cannot."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fbnetv3.config import ConfigError, ModelConfig
from fbnetv3.engines import exports
from fbnetv3.engines.engine import Engine
from fbnetv3.weights import Checkpoint

logger = logging.getLogger(__name__)

EngineName = Literal["auto", "onnxruntime", "torch"]


@dataclass(frozen=True)
class Opened:
    """An engine, the labels of its classes, and the digest of its weights."""

    engine: Engine
    labels: tuple[str, ...]
    digest: str


def open_engine(
    weights: str | Path | Checkpoint,
    choice: EngineName,
    device: str,
    threads: int | None,
    settings: dict[str, Any],
) -> Opened:
    """The engine for these weights; see Detector.load.

    ONNX Runtime runs what lies on disk, on the CPU. Where its graphs cannot be made or do not agree with PyTorch,
    PyTorch serves and the log says why.
    """
    if choice == "onnxruntime" and (device != "cpu" or isinstance(weights, Checkpoint)):
        raise ConfigError(
            "the engine onnxruntime runs weights from a file, on the device cpu; choose auto or torch"
        )
    if choice == "torch" or device != "cpu" or isinstance(weights, Checkpoint):
        return _open_torch(weights, device, threads, settings)
    try:
        folder, manifest = exports.obtain(weights, settings)
    except exports.ExportError as error:
        refusal: str | None = str(error)
    else:
        refusal = manifest.refusal
    if refusal is not None:
        opened = _open_torch(weights, device, threads, settings)
        logger.warning("PyTorch runs %s, not ONNX Runtime: %s", weights, refusal)
        return opened
    from fbnetv3.engines.onnx_engine import OnnxEngine

    config = ModelConfig.for_model(manifest.model, **{**manifest.settings, **settings})
    return Opened(OnnxEngine(folder, config, threads), manifest.labels, manifest.digest)


def _open_torch(
    weights: str | Path | Checkpoint, device: str, threads: int | None, settings: dict[str, Any]
) -> Opened:
    from fbnetv3.engines.torch_engine import TorchEngine
    from fbnetv3.factory import create_model
    from fbnetv3.weights import load_checkpoint

    checkpoint = weights if isinstance(weights, Checkpoint) else load_checkpoint(weights)
    model = create_model(checkpoint.model, checkpoint, **settings)
    return Opened(TorchEngine(model, device, threads), checkpoint.labels, checkpoint.digest)
