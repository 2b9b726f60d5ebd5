"""Brush strokes: a mask at the size of the image as run lengths (`rle`), see `brush_rle`."""

from __future__ import annotations

from collections.abc import Iterator

from fbnetv3.instances import Instances
from prelabel.labelstudio.shapes.brush_rle import RleError, mask_to_rle, rle_to_mask
from prelabel.labelstudio.shapes.geometry import Drawn, RegionError, Size, Value, drawn_mask


def read(value: Value, image_size: Size) -> Drawn:
    """All strokes of the region together."""
    try:
        return drawn_mask(rle_to_mask(value["rle"], image_size))
    except RleError as error:
        raise RegionError(f"cannot be read: {error}") from None


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    """The mask as it is."""
    if instances.masks is not None and instances.masks[index].area:
        yield {"format": "rle", "rle": mask_to_rle(instances.masks[index], instances.image_size)}
