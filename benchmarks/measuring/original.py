"""The network the original's way: as d2go and detectron2 run it in PyTorch's eager mode.

PyTorch's own memory format, norms as layers, masks of all classes for every detection, masks pasted into images.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fbnetv3.images import network_size, to_network
from fbnetv3.network.rcnn import RCNN


def original_detector(model: RCNN, masks: bool) -> Callable[[np.ndarray], tuple[Tensor, Tensor | None]]:
    """Image (H, W, 3) uint8 -> boxes (n, 4) and masks (n, H, W) bool, None without `masks`."""
    model = copy.deepcopy(model)
    if not masks:
        model.roi_heads.mask_head = None

    @torch.no_grad()
    def detect(image: np.ndarray) -> tuple[Tensor, Tensor | None]:
        height, width = image.shape[:2]
        size = network_size(height, width, model.config.min_size, model.config.max_size)
        [found] = model([torch.from_numpy(to_network(image, size))])
        scale = torch.tensor([width / size[1], height / size[0]] * 2)
        boxes = (found.boxes * scale).clamp(min=0).minimum(torch.tensor([width, height] * 2))
        keep = (boxes[:, 2:] > boxes[:, :2]).all(1)
        if found.mask_probabilities is None:
            return boxes[keep], None
        return boxes[keep], paste(found.mask_probabilities[keep], boxes[keep], (height, width))

    return detect


def paste(probabilities: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Masks (n, s, s) inside boxes (n, 4) -> (n, height, width) bool (detectron2 layers/mask_ops.py, on a CPU)."""
    pasted = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for index, box in enumerate(boxes):
        x0, y0 = (box[:2].floor() - 1).clamp(min=0).int().tolist()
        x1, y1 = (box[2:].ceil() + 1).minimum(torch.tensor(size[::-1])).int().tolist()
        x = _grid(x0, x1, box[0], box[2])[None, :].expand(y1 - y0, -1)
        y = _grid(y0, y1, box[1], box[3])[:, None].expand(-1, x1 - x0)
        grid = torch.stack([x, y], 2)[None]
        sampled = F.grid_sample(probabilities[index, None, None], grid, align_corners=False)
        pasted[index, y0:y1, x0:x1] = sampled[0, 0] >= threshold
    return pasted


def _grid(start: int, stop: int, low: Tensor, high: Tensor) -> Tensor:
    """Pixel centres in grid_sample's coordinates, -1 at `low` and 1 at `high`."""
    return (torch.arange(start, stop, dtype=torch.float32) + 0.5 - low) / (high - low) * 2 - 1
