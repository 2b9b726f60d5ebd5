"""From a labelled image to the network's input and target: random size and mirroring, labels kept true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fbnetv3.data.examples import Example
from fbnetv3.images import network_size, to_network
from fbnetv3.network.boxes import mirror_boxes
from fbnetv3.network.targets import Bitmaps, Target


def augment(
    example: Example, min_sizes: Sequence[int], max_size: int, flip: float, rng: np.random.Generator
) -> tuple[Tensor, Target]:
    """The example at one of `min_sizes` (at most `max_size`), mirrored left to right with probability `flip`.

    Returns (3, h, w) float32 BGR 0..255 and its Target.
    """
    height, width = example.image.shape[:2]
    size = network_size(height, width, int(rng.choice(list(min_sizes))), max_size)
    image, target = torch.from_numpy(to_network(example.image, size)), to_target(example, size)
    return mirror(image, target) if rng.random() < flip else (image, target)


def to_target(example: Example, size: tuple[int, int]) -> Target:
    """The labels at the network's size (height, width)."""
    height, width = example.image.shape[:2]
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    boxes, classes = torch.from_numpy(example.boxes * scale), torch.from_numpy(example.classes)
    if example.masks is None:
        return Target(boxes, classes)
    pixels = np.zeros((len(example.masks), *size), bool)
    for i, mask in enumerate(example.masks):
        if mask.area:
            full = Image.fromarray(mask.full((height, width)).astype(np.uint8) * 255)
            pixels[i] = np.asarray(full.resize(size[::-1], Image.Resampling.BILINEAR)) >= 128
    known = torch.tensor([mask.area > 0 for mask in example.masks], dtype=torch.bool)
    return Target(boxes, classes, Bitmaps(torch.from_numpy(pixels)), known)


def mirror(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Left becomes right, in the image, the boxes and the masks."""
    width = image.shape[-1]
    boxes = mirror_boxes(target.boxes, width)
    masks = None if target.masks is None else target.masks.mirror(width)
    return image.flip(-1), replace(target, boxes=boxes, masks=masks)
