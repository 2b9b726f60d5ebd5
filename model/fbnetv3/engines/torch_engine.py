"""The network as PyTorch runs it: on every device, for every configuration, with nothing to prepare."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fbnetv3.arrays import Array
from fbnetv3.config import ModelConfig
from fbnetv3.engines.engine import ClassScores, NetworkOutput, RegionDescriptions, Wanted
from fbnetv3.network.box_head import ROI_CODER
from fbnetv3.network.mask_head import channel_of_class
from fbnetv3.network.rcnn import RCNN, Detections
from fbnetv3.network.rpn import Proposals

#: Images at once where the device gains from it; on a CPU a batch takes longer than its images one by one.
DEVICE_BATCH = 4


@dataclass(frozen=True, eq=False)
class TorchEncoded:
    """See Encoded; `features` (1, C, h, w) by level, on the engine's device."""

    size: tuple[int, int]
    found: Proposals
    features: dict[str, Tensor]

    @property
    def proposals(self) -> Array:
        """See Encoded."""
        return self.found.boxes.cpu().numpy()

    @cached_property
    def maps(self) -> dict[str, Array]:
        """See Encoded."""
        return {name: feature[0].cpu().numpy() for name, feature in self.features.items()}


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

    @property
    def class_scores(self) -> ClassScores:
        """See Engine."""
        layer = self.model.roi_heads.box_predictor.cls_score
        return ClassScores(layer.weight.detach().T.cpu().numpy(), layer.bias.detach().cpu().numpy())

    def encode(self, images: Sequence[Array]) -> list[TorchEncoded]:
        """See Engine."""
        model = self.model
        inputs = [self._tensor(image) for image in images]
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        with self._lock, torch.inference_mode():
            features = model.backbone(model.normalise(inputs))
            proposals, _ = model.proposal_generator(features, sizes)
            read = {level.name: features[level.name] for level in model.backbone.roi_levels}
        return [
            TorchEncoded(size, found, {name: feature[i : i + 1] for name, feature in read.items()})
            for i, (size, found) in enumerate(zip(sizes, proposals, strict=True))
        ]

    def detect(self, encoded: Sequence[TorchEncoded], wanted: Wanted) -> list[NetworkOutput]:
        """See Engine."""
        lowest = [self._tensor(scores) for scores in (wanted.boxes, wanted.masks)]
        with self._lock, torch.inference_mode():
            features = {
                name: torch.cat([one.features[name] for one in encoded]) for name in encoded[0].features
            }
            proposals = [one.found for one in encoded]
            found = self.model.detect(features, proposals, [one.size for one in encoded], *lowest)
        return [_to_output(one) for one in found]

    def classify(self, encoded: TorchEncoded, boxes: Array) -> tuple[Array, Array]:
        """See Engine."""
        described = self.describe(encoded, boxes)
        return described.scores, described.boxes

    def describe(self, encoded: TorchEncoded, boxes: Array) -> RegionDescriptions:
        """See Engine."""
        regions = self._tensor(boxes)
        with self._lock, torch.inference_mode():
            vectors = self.model.region_vectors(encoded.features, [regions])
            logits, offsets = self.model.roi_heads.box_predictor(vectors)
            scores = logits.softmax(1)[:, :-1]
            better = ROI_CODER.decode(regions, offsets).view(len(regions), -1, 4)
        return RegionDescriptions(vectors.cpu().numpy(), scores.cpu().numpy(), better.cpu().numpy())

    def mask_probabilities(self, encoded: TorchEncoded, boxes: Array, classes: Array) -> Array:
        """See Engine."""
        with self._lock, torch.inference_mode():
            logits = self.model.mask_logits(encoded.features, [self._tensor(boxes)])
            return channel_of_class(logits, self._tensor(classes)).sigmoid().cpu().numpy()

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _to_output(found: Detections) -> NetworkOutput:
    masks = found.mask_probabilities
    return NetworkOutput(
        found.boxes.cpu().numpy(),
        found.scores.cpu().numpy(),
        found.classes.cpu().numpy(),
        found.masked.cpu().numpy(),
        None if masks is None else masks.cpu().numpy(),
    )
