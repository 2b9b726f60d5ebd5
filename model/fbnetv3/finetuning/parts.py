"""The network cut in two: the frozen first stages, which see each view once, and the part that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Target

#: What stands for the image itself where no stage is frozen.
IMAGE = "image"

#: What one view gives the part that learns: outputs of stages (C, h, w), or the image.
Features = Mapping[str, Tensor]


class FrozenPart:
    """The first `count` stages of a network; none: the image goes through as it is."""

    def __init__(self, model: RCNN, count: int) -> None:
        self.model, self.count = model, count
        self._stages = list(model.backbone.trunk.children())[:count]
        self._names = [name for name, _ in model.backbone.trunk.named_children()][:count]
        self._read = model.backbone.stages_read(count) if count else ()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """(3, h, w) float32, blue, green, red, 0..255, to half precision outputs of the stages that are read on."""
        if not self.count:
            return {IMAGE: image.half()}
        x = self.model.normalise([image]).contiguous(memory_format=torch.channels_last)
        outputs = {}
        for name, stage in zip(self._names, self._stages, strict=True):
            x = stage(x)
            if name in self._read:
                outputs[name] = x[0].half().contiguous()
        return outputs


class LearningPart(nn.Module):
    """All of the network behind the frozen stages; the forward pass gives the losses of a batch.

    Each view is computed by itself and counts the same: on a CPU that is as fast as a padded batch, nothing
    depends on which views meet in one, and several processes that share a batch learn what one would.
    """

    def __init__(self, model: RCNN) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        features: Sequence[Features],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target],
    ) -> dict[str, Tensor]:
        """The mean of the views' losses; `sizes`: their (height, width). See RCNN for the losses."""
        views = [self._losses(*view) for view in zip(features, sizes, targets, strict=True)]
        names = dict.fromkeys(name for losses in views for name in losses)
        return {
            name: torch.stack([losses[name] for losses in views if name in losses]).sum() / len(views)
            for name in names
        }

    def _losses(self, features: Features, size: tuple[int, int], target: Target) -> dict[str, Tensor]:
        return self.model.losses(backbone_output(self.model, features), [size], [target])


def backbone_output(model: RCNN, features: Features) -> dict[str, Tensor]:
    """The feature maps of one view, as a batch of one."""
    outputs: dict[str, Tensor]
    if IMAGE in features:
        outputs = model.backbone(_batch_of_one(model.normalise([features[IMAGE].float()])[0]))
    else:
        outputs = model.backbone({name: _batch_of_one(value.float()) for name, value in features.items()})
    return outputs


def _batch_of_one(maps: Tensor) -> Tensor:
    """(C, h, w) -> (1, C, h, w) in the memory format that convolutions are fastest with."""
    return maps[None].contiguous(memory_format=torch.channels_last)
