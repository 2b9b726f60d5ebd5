"""Region proposal network (arXiv 1506.01497): feature maps in, boxes that may hold an object out."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from fbnetv3.architectures import Architecture
from fbnetv3.config import ConfigError, ModelConfig
from fbnetv3.network.backbone import Level
from fbnetv3.network.blocks import build_stage
from fbnetv3.network.boxes import BoxCoder, clip, match, nonempty, sample
from fbnetv3.network.targets import Target

RPN_CODER = BoxCoder(1.0, 1.0, 1.0, 1.0)


class Proposals(NamedTuple):
    """Boxes (r, 4) of one image in network pixels with their objectness logits (r,), best first."""

    boxes: Tensor
    logits: Tensor


class AnchorSample(NamedTuple):
    """Which anchors of one image count in the loss: 1 foreground, 0 background, -1 not; and their true boxes."""

    labels: Tensor
    boxes: Tensor


class RPNHead(nn.Module):
    """Blocks, then two 1x1 convolutions: A logits and 4 A offsets per cell."""

    def __init__(self, architecture: Architecture, channels: int, anchors: int, config: ModelConfig) -> None:
        super().__init__()
        self.rpn_feature = nn.Sequential(build_stage(architecture.rpn, channels, config.norm))
        width = architecture.rpn[-1].channels
        self.rpn_regressor = nn.ModuleDict(
            {"cls_logits": nn.Conv2d(width, anchors, 1), "bbox_pred": nn.Conv2d(width, 4 * anchors, 1)}
        )
        for name, parameter in self.rpn_regressor.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> logits (N, A, H, W), offsets (N, 4 A, H, W)."""
        features = self.rpn_feature(features)
        return self.rpn_regressor["cls_logits"](features), self.rpn_regressor["bbox_pred"](features)


class RPN(nn.Module):
    """Head, anchors, the choice of proposals, and the two losses."""

    def __init__(
        self, architecture: Architecture, channels: int, levels: Sequence[Level], config: ModelConfig
    ) -> None:
        super().__init__()
        self.config, self.levels = config, tuple(levels)
        if len(config.anchor_sizes) != len(self.levels):
            raise ConfigError(f"anchor_sizes needs {len(self.levels)} tuples, one per feature level")
        per_cell = {len(sizes) * len(config.anchor_ratios) for sizes in config.anchor_sizes}
        if len(per_cell) != 1:
            raise ConfigError("anchor_sizes needs equally many sizes on every feature level")
        self.rpn_head = RPNHead(architecture, channels, per_cell.pop(), config)

    def anchors(self, features: dict[str, Tensor]) -> list[Tensor]:
        """Every level's anchors (H * W * A, 4): row-major cells, sizes before ratios, centred at (x, y) * stride."""
        return [
            _grid(features[level.name], level.stride, sizes, self.config.anchor_ratios)
            for level, sizes in zip(self.levels, self.config.anchor_sizes, strict=True)
        ]

    def forward(
        self,
        features: dict[str, Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None = None,
    ) -> tuple[list[Proposals], dict[str, Tensor]]:
        """Proposals per image (of these unpadded sizes), and the losses where there are targets."""
        outputs = [self.rpn_head(features[level.name]) for level in self.levels]
        logits = [flatten_maps(score, 1)[..., 0] for score, _ in outputs]
        offsets = [flatten_maps(offset, 4) for _, offset in outputs]
        anchors = self.anchors(features)
        losses = {}
        if targets is not None:
            everywhere = torch.cat(anchors)
            samples = [self.sample_anchors(everywhere, target) for target in targets]
            losses = self.losses(everywhere, torch.cat(logits, 1), torch.cat(offsets, 1), samples)
        with torch.no_grad():
            proposals = self._propose(anchors, logits, offsets, sizes)
        return proposals, losses

    def _propose(
        self,
        anchors: list[Tensor],
        logits: list[Tensor],
        offsets: list[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Proposals]:
        config = self.config
        keep_before = config.pre_nms_proposals_train if self.training else config.pre_nms_proposals_test
        keep_after = config.post_nms_proposals_train if self.training else config.post_nms_proposals_test
        proposals = []
        for image, size in enumerate(sizes):
            boxes, scores, level_of = [], [], []
            for number, (anchor, score, offset) in enumerate(zip(anchors, logits, offsets, strict=True)):
                top, index = score[image].topk(min(keep_before, score.shape[1]))
                boxes.append(RPN_CODER.decode(anchor[index], offset[image][index]))
                scores.append(top)
                level_of.append(torch.full_like(index, number))
            proposals.append(
                self._suppress(
                    clip(torch.cat(boxes), size), torch.cat(scores), torch.cat(level_of), keep_after
                )
            )
        return proposals

    def _suppress(self, boxes: Tensor, logits: Tensor, level_of: Tensor, count: int) -> Proposals:
        valid = nonempty(boxes) & boxes.isfinite().all(1) & logits.isfinite()
        boxes, logits, level_of = boxes[valid], logits[valid], level_of[valid]
        keep = batched_nms(boxes, logits, level_of, self.config.rpn_nms_threshold)[:count]
        return Proposals(boxes[keep], logits[keep])

    @torch.no_grad()
    def sample_anchors(self, anchors: Tensor, target: Target) -> AnchorSample:
        """Match anchors to the objects and choose at random those that count."""
        config = self.config
        index, label = match(target.boxes, anchors, config.rpn_iou_lower, config.rpn_iou_upper, True)
        positives, negatives = sample(
            label == 1,
            label == 0,
            config.rpn_batch_per_image,
            config.rpn_positive_fraction,
            target.generator(),
        )
        labels = torch.full_like(label, -1)
        labels[positives], labels[negatives] = 1, 0
        return AnchorSample(labels, target.boxes[index] if len(target.boxes) else torch.zeros_like(anchors))

    def losses(
        self, anchors: Tensor, logits: Tensor, offsets: Tensor, samples: Sequence[AnchorSample]
    ) -> dict[str, Tensor]:
        """`loss_rpn_cls` and `loss_rpn_loc`, both sums over the samples divided by the configured batch size.

        anchors (R, 4); logits (N, R); offsets (N, R, 4); one sample per image.
        """
        labels = torch.stack([chosen.labels for chosen in samples])
        counted, positive = labels >= 0, labels == 1
        wanted = torch.stack([RPN_CODER.encode(anchors, chosen.boxes) for chosen in samples])
        objectness = F.binary_cross_entropy_with_logits(
            logits[counted], labels[counted].to(logits.dtype), reduction="sum"
        )
        localisation = F.l1_loss(offsets[positive], wanted[positive], reduction="sum")
        normaliser = self.config.rpn_batch_per_image * len(samples)
        return {"loss_rpn_cls": objectness / normaliser, "loss_rpn_loc": localisation / normaliser}


def flatten_maps(maps: Tensor, values: int) -> Tensor:
    """(N, A * values, H, W) -> (N, H * W * A, values)."""
    n, channels, height, width = maps.shape
    maps = maps.view(n, channels // values, values, height, width)
    return maps.permute(0, 3, 4, 1, 2).reshape(n, -1, values)


def _grid(features: Tensor, stride: int, sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    height, width = features.shape[-2:]
    size = torch.tensor(sizes, dtype=torch.float64)[:, None]
    ratio = torch.tensor(ratios, dtype=torch.float64)
    half_width = (size / ratio.sqrt()).flatten() / 2
    half_height = (size * ratio.sqrt()).flatten() / 2
    cell = torch.stack([-half_width, -half_height, half_width, half_height], 1).float()
    x = torch.arange(width, dtype=torch.float32) * stride
    y = torch.arange(height, dtype=torch.float32) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    corner = torch.stack([columns, rows, columns, rows], -1).view(-1, 1, 4)
    return (corner + cell).view(-1, 4).to(features.device)
