"""What an image's labels are to the network in training: boxes, classes and masks in network pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.ops import roi_align

from fbnetv3.arrays import Array


class TargetMasks(Protocol):
    """The masks of m objects, in whatever form they are known."""

    def crop(self, boxes: Tensor, index: Tensor, side: int) -> Tensor:
        """Object index[i]'s mask inside boxes[i], at side x side: (r, 4) and (r,) -> (r, side, side) bool."""
        ...

    def mirror(self, width: int) -> TargetMasks:
        """The masks with left and right exchanged, in an image of this width."""
        ...


@dataclass(frozen=True)
class Bitmaps:
    """Masks as pixels: `pixels` (m, H, W), 0 or 1, at the size of the image."""

    pixels: Tensor

    def crop(self, boxes: Tensor, index: Tensor, side: int) -> Tensor:
        if len(boxes) == 0:
            return torch.zeros(0, side, side, dtype=torch.bool, device=boxes.device)
        regions = torch.cat([index[:, None].to(boxes.dtype), boxes], 1)
        pixels = self.pixels[:, None].to(boxes.dtype)
        masks: Tensor = roi_align(pixels, regions, side, 1.0, 0, aligned=True)[:, 0] >= 0.5
        return masks

    def mirror(self, width: int) -> Bitmaps:
        return Bitmaps(self.pixels.flip(-1))


@dataclass(frozen=True)
class Polygons:
    """Masks as outlines: `outlines[i]` holds object i's polygons, each (2k,) x, y, x, y, ... in pixels."""

    outlines: Sequence[Sequence[Array]]

    def crop(self, boxes: Tensor, index: Tensor, side: int) -> Tensor:
        masks = np.zeros((len(boxes), side, side), bool)
        for i, (box, owner) in enumerate(zip(boxes.double().cpu().numpy(), index.tolist(), strict=True)):
            masks[i] = _rasterise(self.outlines[owner], box, side)
        return torch.from_numpy(masks).to(boxes.device)

    def mirror(self, width: int) -> Polygons:
        return Polygons([[_mirrored(outline, width) for outline in outlines] for outlines in self.outlines])


def _mirrored(outline: Array, width: int) -> Array:
    points = outline.reshape(-1, 2)
    return np.column_stack([width - points[:, 0], points[:, 1]]).ravel()


def _rasterise(outlines: Sequence[Array], box: Array, side: int) -> Array:
    """Shift and scale polygons into the box, then fill them by COCO's rule (detectron2 structures/masks.py)."""
    scale = side / np.maximum(box[2:] - box[:2], 0.1)
    moved = [((outline.reshape(-1, 2) - box[:2]) * scale).ravel() for outline in outlines]
    encoded = coco_mask.merge(coco_mask.frPyObjects(moved, side, side))
    mask: Array = coco_mask.decode(encoded).astype(bool)
    return mask


@dataclass(frozen=True)
class Target:
    """The m labelled objects of one image, in pixels of the network's input.

    `boxes` (m, 4) float32; `classes` (m,) int64, 0 .. num_classes - 1; `masks` may be None: none is known.
    `has_mask` (m,) bool: whose mask is known, None for all; what `masks` holds for the others means nothing.
    `seed`: of the random choices of anchors and regions; None: PyTorch's own generator makes them.
    """

    boxes: Tensor
    classes: Tensor
    masks: TargetMasks | None = None
    has_mask: Tensor | None = None
    seed: int | None = None

    def generator(self) -> torch.Generator | None:
        """For one series of random choices; the same seed makes the same ones."""
        return None if self.seed is None else torch.Generator(self.boxes.device).manual_seed(self.seed)

    @property
    def mask_known(self) -> Tensor:
        """(m,) bool: the objects that count in the mask loss."""
        if self.masks is None or self.has_mask is None:
            return torch.full_like(self.classes, self.masks is not None, dtype=torch.bool)
        return self.has_mask
