"""The network as PyTorch runs it: on every device, for every configuration, with nothing to prepare."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch

from fbnetv3.config import ModelConfig
from fbnetv3.engines.engine import NetworkOutput, Wanted
from fbnetv3.network.rcnn import RCNN, Detections

#: Images at once where the device gains from it; on a CPU a batch takes longer than its images one by one.
DEVICE_BATCH = 4


class TorchEngine:
    """Runs a model in evaluation mode, one call at a time.

    `threads`: of one inference on the CPU, for the whole process; None leaves PyTorch's choice.
    """

    name = "torch"

    def __init__(self, model: RCNN, device: str = "cpu", threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        # Channels last is 1.7 times faster on a CPU (docs/performance.md).
        self.model = model.eval().to(device).to(memory_format=torch.channels_last)
        self.batch_size = 1 if device == "cpu" else DEVICE_BATCH
        self._device = device
        self._lock = threading.Lock()

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config

    @property
    def has_masks(self) -> bool:
        """Whether the model has a mask head."""
        return self.model.has_masks

    def detect(self, images: Sequence[np.ndarray], wanted: Wanted) -> list[NetworkOutput]:
        """See Engine."""
        inputs = [torch.from_numpy(image).to(self._device) for image in images]
        lowest = [torch.from_numpy(scores).to(self._device) for scores in (wanted.boxes, wanted.masks)]
        with self._lock, torch.inference_mode():
            found = self.model(inputs, lowest_scores=lowest[0], lowest_mask_scores=lowest[1])
        return [_to_output(one) for one in found]


def _to_output(found: Detections) -> NetworkOutput:
    masks = found.mask_probabilities
    return NetworkOutput(
        found.boxes.cpu().numpy(),
        found.scores.cpu().numpy(),
        found.classes.cpu().numpy(),
        found.masked.cpu().numpy(),
        None if masks is None else masks.cpu().numpy(),
    )
