"""The whole network: Faster R-CNN, and Mask R-CNN where it has a mask head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.config import ModelConfig
from fbnetv3.network.backbone import build_backbone
from fbnetv3.network.box_head import (
    BoxHead,
    BoxOutputs,
    BoxPredictor,
    Candidates,
    box_losses,
    choose_detections,
)
from fbnetv3.network.boxes import match, sample
from fbnetv3.network.mask_head import MaskHead, channel_of_class, mask_loss
from fbnetv3.network.norms import freeze
from fbnetv3.network.pooler import pool_regions
from fbnetv3.network.rpn import RPN, Proposals
from fbnetv3.network.targets import Target

#: Mean of each input channel, blue, green, red; the zoo's networks have standard deviation 1 (detectron2 defaults).
PIXEL_MEAN_BGR = (103.53, 116.28, 123.675)


class Detections(NamedTuple):
    """What the network finds in one image, in pixels of its input, best first.

    boxes (n, 4); scores (n,); classes (n,); masked (n,) bool, which have a mask; mask_probabilities (m, s, s),
    those masks inside their boxes, or None.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    masked: Tensor
    mask_probabilities: Tensor | None


class RegionSample(NamedTuple):
    """The r regions of one image that count in the heads' losses.

    boxes (r, 4); classes (r,), num_classes is background; owner (r,): the object that each was matched to.
    """

    boxes: Tensor
    classes: Tensor
    owner: Tensor


class ROIHeads(nn.Module):
    """Box head and, with `masks`, mask head, both on regions of the same feature maps."""

    def __init__(self, name: str, channels: int, config: ModelConfig, masks: bool) -> None:
        super().__init__()
        architecture = ARCHITECTURES[name]
        self.box_head = BoxHead(architecture, channels, config)
        self.box_predictor = BoxPredictor(architecture.box_head[-1].channels, config.num_classes)
        self.mask_head = MaskHead(architecture, channels, config) if masks else None


class RCNN(nn.Module):
    """A network of the zoo.

    In training, `forward(images, targets)` gives the losses by the original's names: `loss_rpn_cls`,
    `loss_rpn_loc`, `loss_cls`, `loss_box_reg` and, where some target has masks, `loss_mask`. In evaluation,
    `forward(images)` gives one Detections per image, without those that score less than `lowest_scores`, and with
    masks, which are expensive, for those that score `lowest_mask_scores` or more; both are (classes,), or None for no
    limit.
    Images are (3, h, w) tensors, blue, green, red, 0..255, at the network's size.
    """

    def __init__(self, name: str, config: ModelConfig) -> None:
        super().__init__()
        self.name, self.config = name, config
        architecture = ARCHITECTURES[name]
        self.backbone = build_backbone(architecture, config.norm)
        channels = self.backbone.channels
        rpn = RPN(architecture, channels, self.backbone.rpn_levels, config)
        self.proposal_generator = rpn
        self.roi_heads = ROIHeads(name, channels, config, masks=name.startswith("mask_"))
        self.pixel_mean: Tensor
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN_BGR)[:, None, None], persistent=False)

    @property
    def has_masks(self) -> bool:
        """Whether the network has a mask head."""
        return self.roi_heads.mask_head is not None

    def freeze_stages(self, count: int) -> None:
        """Stop the first `count` trunk stages from learning, their norms included; for good."""
        for stage in list(self.backbone.trunk.children())[:count]:
            freeze(stage)

    def forward(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Target] | None = None,
        lowest_scores: Tensor | None = None,
        lowest_mask_scores: Tensor | None = None,
    ) -> dict[str, Tensor] | list[Detections]:
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        features = self.backbone(self.normalise(images))
        if not self.training:
            proposals, _ = self.proposal_generator(features, sizes)
            return self.detect(features, proposals, sizes, lowest_scores, lowest_mask_scores)
        if targets is None:
            raise ValueError("a network in training mode needs targets")
        return self.losses(features, sizes, targets)

    def losses(
        self,
        features: dict[str, Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target],
    ) -> dict[str, Tensor]:
        """The losses by their names, from the backbone's output for images of these (unpadded) sizes."""
        proposals, losses = self.proposal_generator(features, sizes, targets)
        samples = [
            self.sample_regions(found, target) for found, target in zip(proposals, targets, strict=True)
        ]
        return {**losses, **self.region_losses(features, samples, targets)}

    def normalise(self, images: Sequence[Tensor]) -> Tensor:
        """Subtract the mean and pad right and below with zeros to one batch (N, 3, H, W)."""
        step = self.backbone.size_divisibility
        height = (max(image.shape[-2] for image in images) + step - 1) // step * step
        width = (max(image.shape[-1] for image in images) + step - 1) // step * step
        return torch.stack(
            [
                F.pad(
                    image.to(self.pixel_mean) - self.pixel_mean,
                    (0, width - image.shape[-1], 0, height - image.shape[-2]),
                )
                for image in images
            ]
        )

    def detect(
        self,
        features: dict[str, Tensor],
        proposals: Sequence[Proposals],
        sizes: Sequence[tuple[int, int]],
        lowest_scores: Tensor | None = None,
        lowest_mask_scores: Tensor | None = None,
    ) -> list[Detections]:
        """Classes, final boxes and masks of the proposals of every image."""
        boxes = [found.boxes for found in proposals]
        outputs = self.box_outputs(features, boxes)
        counts = [len(box) for box in boxes]
        candidates = [
            choose_detections(BoxOutputs(logits, offsets), box, size, self.config, lowest_scores)
            for logits, offsets, box, size in zip(
                outputs.logits.split(counts), outputs.offsets.split(counts), boxes, sizes, strict=True
            )
        ]
        masked = [_masked(found, lowest_mask_scores) for found in candidates]
        masks = self._mask_probabilities(features, candidates, masked)
        return [
            Detections(found.boxes, found.scores, found.classes, chosen, mask)
            for found, chosen, mask in zip(candidates, masked, masks, strict=True)
        ]

    def box_outputs(self, features: dict[str, Tensor], boxes: Sequence[Tensor]) -> BoxOutputs:
        """Classes and better boxes for boxes (r_i, 4) of each image, in that order."""
        outputs: BoxOutputs = self.roi_heads.box_predictor(self.region_vectors(features, boxes))
        return outputs

    def region_vectors(self, features: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """What the box predictor reads of boxes (r_i, 4) of each image: (sum of r_i, d)."""
        vectors: Tensor = self.roi_heads.box_head(self.pool_for_boxes(features, boxes))
        return vectors

    def mask_logits(self, features: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Masks of every class inside boxes (r_i, 4) of each image: (sum of r_i, classes, s, s)."""
        assert self.roi_heads.mask_head is not None
        logits: Tensor = self.roi_heads.mask_head(self.pool_for_masks(features, boxes))
        return logits

    def pool_for_boxes(self, features: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """What the box head reads of boxes (r_i, 4) of each image: (sum of r_i, C, side, side)."""
        side = self.config.box_pooler_resolution
        return pool_regions(features, self.backbone.roi_levels, boxes, side)

    def pool_for_masks(self, features: dict[str, Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """What the mask head reads, likewise."""
        side = self.config.mask_pooler_resolution
        return pool_regions(features, self.backbone.roi_levels, boxes, side)

    def _mask_probabilities(
        self, features: dict[str, Tensor], candidates: Sequence[Candidates], masked: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        if not self.has_masks:
            return [None] * len(candidates)
        pairs = list(zip(candidates, masked, strict=True))
        logits = self.mask_logits(features, [found.boxes[chosen] for found, chosen in pairs])
        classes = torch.cat([found.classes[chosen] for found, chosen in pairs])
        counts = [int(chosen.sum()) for chosen in masked]
        probabilities: Sequence[Tensor] = channel_of_class(logits, classes).sigmoid().split(counts)
        return probabilities

    @torch.no_grad()
    def sample_regions(self, proposals: Proposals, target: Target) -> RegionSample:
        """Add the true boxes to the proposals, match them, choose at random those that count."""
        config = self.config
        boxes = torch.cat([proposals.boxes, target.boxes])
        owner, label = match(target.boxes, boxes, config.roi_iou_lower, config.roi_iou_upper)
        background = config.num_classes
        classes = torch.full_like(owner, background)
        if len(target.classes):
            classes = torch.where(label == 1, target.classes[owner], background)
        positives, negatives = sample(
            label == 1,
            label == 0,
            config.roi_batch_per_image,
            config.roi_positive_fraction,
            target.generator(),
        )
        chosen = torch.cat([positives, negatives])
        return RegionSample(boxes[chosen], classes[chosen], owner[chosen])

    def region_losses(
        self, features: dict[str, Tensor], samples: Sequence[RegionSample], targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """The heads' losses on sampled regions."""
        boxes = [chosen.boxes for chosen in samples]
        outputs = self.box_outputs(features, boxes)
        classes = torch.cat([chosen.classes for chosen in samples])
        true_boxes = torch.cat(
            [
                target.boxes[chosen.owner] if len(target.boxes) else torch.zeros_like(chosen.boxes)
                for chosen, target in zip(samples, targets, strict=True)
            ]
        )
        losses = box_losses(outputs, torch.cat(boxes), classes, true_boxes)
        if self.has_masks and any(target.masks is not None for target in targets):
            losses["loss_mask"] = self._mask_loss(features, samples, targets)
        return losses

    def _mask_loss(
        self, features: dict[str, Tensor], samples: Sequence[RegionSample], targets: Sequence[Target]
    ) -> Tensor:
        """Of the regions on objects whose mask is known; 0 where there are none."""
        pairs = list(zip(samples, targets, strict=True))
        counted = [self._counts_for_masks(chosen, target) for chosen, target in pairs]
        boxes = [chosen.boxes[keep] for chosen, keep in zip(samples, counted, strict=True)]
        classes = torch.cat([chosen.classes[keep] for chosen, keep in zip(samples, counted, strict=True)])
        logits = self.mask_logits(features, boxes)
        side = logits.shape[-1]
        wanted = [
            target.masks.crop(box, chosen.owner[keep], side)
            for (chosen, target), box, keep in zip(pairs, boxes, counted, strict=True)
            if target.masks is not None
        ]
        return mask_loss(logits, classes, torch.cat(wanted))

    def _counts_for_masks(self, chosen: RegionSample, target: Target) -> Tensor:
        """(r,) bool: the regions on an object whose mask is known, the first of them where there are many."""
        counts = chosen.classes < self.config.num_classes
        if len(target.classes):
            counts = counts & target.mask_known[chosen.owner]
        limit = self.config.mask_batch_per_image
        return counts if limit is None else counts & (counts.cumsum(0) <= limit)


def _masked(found: Candidates, lowest_scores: Tensor | None) -> Tensor:
    if lowest_scores is None:
        return torch.ones_like(found.classes, dtype=torch.bool)
    return found.scores >= lowest_scores[found.classes]
