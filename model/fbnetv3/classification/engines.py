"""What runs the classifier's network: ONNX Runtime with an exported graph, or PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fbnetv3.arrays import Array

if TYPE_CHECKING:
    from fbnetv3.network.classifier import ClassifierNetwork

GRAPH = "classifier.onnx"


class Engine(Protocol):
    """A network that is ready for images. Safe to use from several threads."""

    name: str

    def logits(self, image: Array) -> Array:
        """What `to_input` made, (1, 3, 288, 288) float32 -> (1, classes) float32."""
        ...


class OnnxEngine:
    """Runs the graph in `folder`; needs no PyTorch. `threads`: of one inference; None is one per core."""

    name = "onnxruntime"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        from fbnetv3.engines.onnx_engine import open_session

        self._session = open_session(folder / GRAPH, threads)

    def logits(self, image: Array) -> Array:
        """See Engine."""
        logits: Array
        [logits] = self._session.run(None, {"image": image})
        return logits


class TorchEngine:
    """Runs the network itself, on any device. `threads`: of the whole process; None leaves PyTorch's choice."""

    name = "torch"

    def __init__(self, network: ClassifierNetwork, device: str = "cpu", threads: int | None = None) -> None:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)
        self._device = device

    def logits(self, image: Array) -> Array:
        """See Engine."""
        import torch

        with torch.inference_mode():
            logits: Array = self._network(torch.from_numpy(image).to(self._device)).cpu().numpy()
            return logits
