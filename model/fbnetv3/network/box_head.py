"""Second stage, boxes: the class and a better box for every proposal."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from fbnetv3.architectures import Architecture
from fbnetv3.config import ModelConfig
from fbnetv3.network.blocks import build_stage
from fbnetv3.network.boxes import BoxCoder, clip

ROI_CODER = BoxCoder(10.0, 10.0, 5.0, 5.0)


class BoxOutputs(NamedTuple):
    """What the predictor says of r regions: logits (r, classes + 1), background last; offsets (r, 4 classes)."""

    logits: Tensor
    offsets: Tensor


class Candidates(NamedTuple):
    """Detections of one image before masks, best first: boxes (n, 4) network pixels, scores (n,), classes (n,).

    `regions` (n,) says which proposal each came from.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    regions: Tensor


class BoxHead(nn.Module):
    """Blocks and an average over the area: (r, C, side, side) -> (r, C')."""

    def __init__(self, architecture: Architecture, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.roi_box_conv = nn.Sequential(build_stage(architecture.box_head, channels, config.norm))

    def forward(self, regions: Tensor) -> Tensor:
        vectors: Tensor = self.roi_box_conv(regions).mean((2, 3))
        return vectors


class BoxPredictor(nn.Module):
    """Two linear layers: class logits, and four box offsets per class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(channels, num_classes + 1)
        self.bbox_pred = nn.Linear(channels, 4 * num_classes)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, features: Tensor) -> BoxOutputs:
        return BoxOutputs(self.cls_score(features), self.bbox_pred(features))


def box_losses(
    outputs: BoxOutputs, proposals: Tensor, classes: Tensor, true_boxes: Tensor
) -> dict[str, Tensor]:
    """`loss_cls`: cross entropy over all sampled regions; `loss_box_reg`: L1 over the foreground, same divisor.

    proposals, true_boxes (r, 4); classes (r,), the last index is background.
    """
    num_classes = outputs.logits.shape[1] - 1
    count = max(len(classes), 1)
    foreground = ((classes >= 0) & (classes < num_classes)).nonzero().flatten()
    wanted = ROI_CODER.encode(proposals[foreground], true_boxes[foreground])
    offsets = outputs.offsets.view(-1, num_classes, 4)[foreground, classes[foreground]]
    return {
        "loss_cls": F.cross_entropy(outputs.logits, classes, reduction="sum") / count,
        "loss_box_reg": F.l1_loss(offsets, wanted, reduction="sum") / count,
    }


def choose_detections(
    outputs: BoxOutputs,
    proposals: Tensor,
    size: tuple[int, int],
    config: ModelConfig,
    lowest_scores: Tensor | None = None,
) -> Candidates:
    """The best (region, class) pairs of one image: threshold, NMS per class, at most so many (detectron2 fast_rcnn).

    Of those, what scores less than its class's of `lowest_scores` (classes,) is not wanted.
    """
    scores = F.softmax(outputs.logits, 1)[:, :-1]
    boxes = clip(ROI_CODER.decode(proposals, outputs.offsets).view(-1, scores.shape[1], 4), size)
    finite = boxes.flatten(1).isfinite().all(1) & scores.isfinite().all(1)
    regions, classes = ((scores > config.score_threshold) & finite[:, None]).nonzero(as_tuple=True)
    boxes, scores = boxes[regions, classes], scores[regions, classes]
    keep = batched_nms(boxes, scores, classes, config.nms_threshold)[: config.detections_per_image]
    if lowest_scores is not None:
        keep = keep[scores[keep] >= lowest_scores[classes[keep]]]
    return Candidates(boxes[keep], scores[keep], classes[keep], regions[keep])
