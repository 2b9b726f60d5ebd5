"""The masks of an image's objects, kept once and cropped for any view of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import roi_align

from fbnetv3.instances import BoxMask
from fbnetv3.network.boxes import mirror_boxes


@dataclass(frozen=True, eq=False)
class ViewMasks:
    """Masks of m objects as a view of their image shows them: one of `fbnetv3.network.targets.TargetMasks`.

    `masks`: cropped bitmaps in a coordinate system of their own; `scale` (x, y): from the view's pixels to it;
    `mirrored_width`: the width of the view where left and right are exchanged in it, else None.
    """

    masks: tuple[BoxMask, ...]
    scale: tuple[float, float]
    mirrored_width: int | None = None

    def crop(self, boxes: Tensor, index: Tensor, side: int) -> Tensor:
        """Object index[i]'s mask inside boxes[i], at side x side: (r, 4) and (r,) -> (r, side, side) bool."""
        wanted = torch.zeros(len(boxes), side, side, dtype=torch.bool)
        own = self._own(boxes.cpu())
        for owner in index.unique().tolist():
            regions = (index == owner).nonzero().flatten().cpu()
            wanted[regions] = _crop(self.masks[owner], own[regions], side)
        return (wanted if self.mirrored_width is None else wanted.flip(-1)).to(boxes.device)

    def mirror(self, width: int) -> ViewMasks:
        """The masks with left and right exchanged, in a view of this width."""
        return replace(self, mirrored_width=width if self.mirrored_width is None else None)

    def _own(self, boxes: Tensor) -> Tensor:
        if self.mirrored_width is not None:
            boxes = mirror_boxes(boxes, self.mirrored_width)
        return boxes * torch.tensor(self.scale * 2, dtype=boxes.dtype)


def _crop(mask: BoxMask, boxes: Tensor, side: int) -> Tensor:
    if not mask.area:
        return torch.zeros(len(boxes), side, side, dtype=torch.bool)
    # A frame of background: RoIAlign repeats the border's pixels one pixel beyond it.
    pixels = torch.from_numpy(np.pad(mask.bitmap, 1)).float()[None, None]
    corner = torch.tensor([mask.x - 1, mask.y - 1] * 2, dtype=boxes.dtype)
    regions = torch.cat([boxes.new_zeros(len(boxes), 1), boxes - corner], 1)
    masks: Tensor = roi_align(pixels, regions, side, 1.0, 0, aligned=True)[:, 0] >= 0.5
    return masks


def shrink(mask: BoxMask, factor: float) -> BoxMask:
    """The mask in an image `factor` (0..1] times as large: a pixel is set where half of what it covers is."""
    if factor >= 1 or not mask.area:
        return mask
    height, width = mask.bitmap.shape
    x0, y0 = int(mask.x * factor), int(mask.y * factor)
    x1, y1 = int(np.ceil((mask.x + width) * factor)), int(np.ceil((mask.y + height) * factor))
    left, top = mask.x - x0 / factor, mask.y - y0 / factor
    canvas = np.zeros((int(np.ceil((y1 - y0) / factor)) + 1, int(np.ceil((x1 - x0) / factor)) + 1), np.uint8)
    canvas[int(top) : int(top) + height, int(left) : int(left) + width] = mask.bitmap * np.uint8(255)
    covered = (0, 0, (x1 - x0) / factor, (y1 - y0) / factor)
    small = Image.fromarray(canvas).resize((x1 - x0, y1 - y0), Image.Resampling.BOX, box=covered)
    return BoxMask(x0, y0, np.asarray(small) >= 128)
