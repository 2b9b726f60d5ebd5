"""Networks and labelled images small enough for quick tests, the same values every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fbnetv3 import ModelConfig, create_model
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Bitmaps, Target
from fbnetv3.weights import Checkpoint

C4 = "mask_rcnn_fbnetv3a_dsmask_C4"
A_C4 = "mask_rcnn_fbnetv3a_C4"
FASTER_C4 = "faster_rcnn_fbnetv3a_dsmask_C4"
FPN = "mask_rcnn_fbnetv3g_fpn"

LABELS = ("bolt", "nut", "gear")
#: How the names of norms' statistics end.
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
#: Regions cost most of the time.
FEW_REGIONS: dict[str, Any] = {
    "rpn_batch_per_image": 32,
    "pre_nms_proposals_train": 40,
    "pre_nms_proposals_test": 40,
    "post_nms_proposals_train": 12,
    "post_nms_proposals_test": 12,
    "roi_batch_per_image": 8,
    "detections_per_image": 8,
}


def small_network(name: str = C4, seed: int = 0, **settings: Any) -> RCNN:
    """A network for `LABELS`, in training mode."""
    torch.manual_seed(seed)
    return create_model(name, **{"num_classes": len(LABELS), **FEW_REGIONS, **settings})


def decided(model: RCNN) -> RCNN:
    """The same network, untrained, but with scores that spread and boxes that leave their proposals and the image."""
    torch.manual_seed(3)
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.5)
    nn.init.normal_(model.roi_heads.box_predictor.bbox_pred.weight, std=0.5)
    return model


def with_statistics(model: RCNN) -> RCNN:
    """The same network, its batch norms with the statistics of a picture and with scales and shifts of all kinds."""
    torch.manual_seed(4)
    norms = [module for module in model.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.6, 1.4)
        nn.init.normal_(norm.bias, std=0.2)
        norm.train().momentum = 0.9
    with torch.no_grad():
        for seed in range(2):
            model([labelled_image((96, 128), 3, seed)[0]])
    return model.eval()


def labelled_image(
    size: tuple[int, int] = (64, 64), objects: int = 2, seed: int = 0
) -> tuple[Tensor, Target]:
    """A picture (3, height, width) with bright rectangles, every one an object."""
    random = np.random.default_rng(seed)
    height, width = size
    image = torch.from_numpy(random.uniform(0, 60, (3, height, width)).astype(np.float32))
    pixels = torch.zeros(objects, height, width, dtype=torch.bool)
    boxes = []
    for i in range(objects):
        x, y = int(random.integers(0, width // 2)), int(random.integers(0, height // 2))
        box = (x, y, x + width // 3 + 4 * i, y + height // 3)
        pixels[i, box[1] : box[3], box[0] : box[2]] = True
        image[:, pixels[i]] += 60.0 * (i + 1)
        boxes.append(box)
    true_boxes = torch.tensor(boxes, dtype=torch.float32).reshape(objects, 4)
    return image, Target(true_boxes, torch.arange(objects) % len(LABELS), Bitmaps(pixels))


def training_step(
    model: RCNN, images: list[Tensor], targets: list[Target], seed: int = 0
) -> dict[str, float]:
    """One step of plain gradient descent in training mode; the losses before it."""
    torch.manual_seed(seed)
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = model(images, targets)
    assert isinstance(losses, dict)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}


def as_checkpoint(model: RCNN, labels: tuple[str, ...] = LABELS, **settings: Any) -> Checkpoint:
    """The model's weights at rest."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return Checkpoint(state, model.name, labels, settings)


def two_images() -> tuple[list[Tensor], list[Target]]:
    """Of different sizes, with two objects and one."""
    pairs = [labelled_image(seed=0), labelled_image((48, 80), 1, seed=1)]
    return [image for image, _ in pairs], [target for _, target in pairs]


def without_values(name: str, **settings: Any) -> RCNN:
    """The layers of a network, on a device that holds no numbers."""
    with torch.device("meta"):
        return RCNN(name, ModelConfig.for_model(name, **settings))


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    """The values of all tensors now."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changes(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    """Names of the tensors that are no longer what they were."""
    after = model.state_dict()
    assert before.keys() == after.keys()
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
