"""Polygons: `points` in percent, the corners of a closed outline; a mask in pieces is several of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fbnetv3.instances import Instances
from prelabel.labelstudio.shapes.geometry import (
    Drawn,
    RegionError,
    Size,
    Value,
    clipped,
    mask_at,
    percent,
    room,
)
from prelabel.labelstudio.shapes.outlines import fill, polygons


def read(value: Value, image_size: Size) -> Drawn:
    """The pixels whose centres the outline surrounds, by the even-odd rule, and the box around its points."""
    height, width = image_size
    points = np.array(value["points"], np.float64).reshape(-1, 2) / 100 * (width, height)
    if len(points) < 3:
        raise RegionError("has fewer than three points")
    box = clipped(points, image_size)
    x, y, size = room(box)
    return box, mask_at(x, y, fill(points - (x, y), size))


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    """One polygon for every piece of the mask, the largest first; see `polygons`."""
    if instances.masks is not None:
        for ring in polygons(instances.masks[index], tolerance):
            yield {"points": percent(ring, instances.image_size).tolist(), "closed": True}
