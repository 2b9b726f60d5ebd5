"""Label Studio's regions read back into pixels; nothing here is shared with prelabel."""

from __future__ import annotations

from typing import Any

import numpy as np
from label_studio_sdk.converter.brush import decode_rle

Region = dict[str, Any]


def objects(result: list[Region], control: str) -> list[list[Region]]:
    """The regions of a control, those of one object together, in the order of the result."""
    groups: dict[str, list[Region]] = {}
    for region in result:
        if region["from_name"] == control:
            groups.setdefault(region.get("parentID", region["id"]), []).append(region)
    return list(groups.values())


def box(region: Region) -> np.ndarray:
    """x0, y0, x1, y1 in pixels of a rectangle."""
    value = region["value"]
    percent = [value["x"], value["y"], value["x"] + value["width"], value["y"] + value["height"]]
    size = [region["original_width"], region["original_height"]]
    return np.array(percent) / 100 * np.array(size * 2)


def brush_mask(region: Region) -> np.ndarray:
    """The mask (H, W) bool of a brush region, as Label Studio shows it: RGBA of which the alpha counts."""
    size = region["original_height"], region["original_width"]
    return decode_rle(region["value"]["rle"]).reshape(*size, 4)[..., 3] > 0


def polygon_mask(regions: list[Region]) -> np.ndarray:
    """The pixels (H, W) bool whose centres lie in one of these polygons, by the even-odd rule."""
    height, width = regions[0]["original_height"], regions[0]["original_width"]
    mask = np.zeros((height, width), bool)
    for region in regions:
        mask |= _inside(np.array(region["value"]["points"]) / 100 * [width, height], height, width)
    return mask


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks, one of which has a pixel."""
    return float((first & second).sum() / (first | second).sum())


def _inside(points: np.ndarray, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0.5:height, 0.5:width]
    inside = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
