"""Outlines and masks of labels: every form that tools write, as polygons or as compressed RLE of the image."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fbnetv3.arrays import Array
from fbnetv3.data.coco_files.frames import ANYWHERE, Frame, is_same_ratio
from fbnetv3.data.coco_files.values import numbers

Json = dict[str, Any]

FEWEST_NUMBERS = 6
"""Three corners."""

MOST_PIXELS = 1 << 28
"""Of a mask: beyond this it is a mistake, and decoding it would take the machine's memory."""


class NoMask(ValueError):
    """A segmentation says no shape; the message says why. An empty one has no message."""


def read_segmentation(value: Any, frame: Frame) -> list[list[float]] | Json:
    """Polygons, or RLE as COCO compresses it, in pixels of the upright image. Raises NoMask."""
    if not value:
        raise NoMask("")
    if isinstance(value, dict):
        return _read_rle(value, frame)
    polygons = [points for points in map(_points, _pieces(value)) if points is not None]
    kept = [_placed(points, frame) for points in polygons]
    kept = [points for points in kept if _has_extent(points, frame.size)]
    if not kept:
        raise NoMask("the segmentation has no polygon of three corners inside the image")
    return [points.flatten().tolist() for points in kept]


def box_of_segmentation(segmentation: list[list[float]] | Json) -> Array:
    """The box (4,), x0, y0, x1, y1, around what `read_segmentation` gave."""
    if isinstance(segmentation, dict):
        x, y, width, height = coco_mask.toBbox(segmentation)
        return np.array([x, y, x + width, y + height])
    points = np.concatenate([np.reshape(piece, (-1, 2)) for piece in segmentation])
    return np.concatenate([points.min(0), points.max(0)])


def _pieces(value: Any) -> list[Any]:
    """The polygons of a list; a flat list of numbers, or of points, is one."""
    if not isinstance(value, list):
        return []
    if numbers(value) is not None or _is_points(value):
        return [value]
    return value


def _is_points(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= FEWEST_NUMBERS // 2
        and all(len(point) == 2 if (point := numbers(one)) else False for one in value)
    )


def _points(piece: Any) -> Array | None:
    """(n, 2) corners of one polygon; None where these are no three."""
    flat = numbers([coordinate for point in piece for coordinate in point] if _is_points(piece) else piece)
    if flat is None or len(flat) < FEWEST_NUMBERS or len(flat) % 2:
        return None
    return np.array(flat, np.float64).reshape(-1, 2)


def _placed(points: Array, frame: Frame) -> Array:
    """In the upright image; no further outside than its own size, as a rasteriser walks along every edge."""
    if not frame.is_plain:
        points = frame.points(points)
    size = np.array(frame.size)
    return np.clip(points, -size, 2 * size)


def _has_extent(points: Array, size: tuple[int, int]) -> bool:
    inside = np.clip(points, 0, size)
    return bool((inside.max(0) > inside.min(0)).all())


def _read_rle(value: Json, frame: Frame) -> Json:
    size = numbers(value.get("size"))
    if size is None or len(size) != 2 or not all(side.is_integer() and side > 0 for side in size):
        raise NoMask("the RLE has no size")
    height, width = int(size[0]), int(size[1])
    if height * width > MOST_PIXELS:
        raise NoMask(f"the RLE is of an image of {width} x {height} pixels")
    rle = _compressed(_run_lengths(value.get("counts"), height * width), height, width)
    if not coco_mask.area(rle):
        raise NoMask("the RLE has no pixel")
    if frame is ANYWHERE:
        return rle
    if (width, height) == frame.size and (frame.is_plain or frame.drawn != (width, height)):
        return rle
    if is_same_ratio((width, height), frame.drawn):
        return _encoded(frame.mask(coco_mask.decode(rle).astype(bool)))
    raise NoMask(f"the RLE is of an image of {width} x {height} pixels, which the image is not")


def _run_lengths(counts: Any, pixels: int) -> list[int]:
    """Pixels outside and inside in turn, column by column; they add up to `pixels`."""
    runs = _decompressed(counts) if isinstance(counts, str) else _whole_numbers(counts)
    if not runs or min(runs) < 0 or sum(runs) > pixels:
        raise NoMask("the RLE has counts that do not fit its size")
    rest = pixels - sum(runs)
    if not rest:
        return runs
    if len(runs) % 2 == 0:
        return [*runs, rest]
    return [*runs[:-1], runs[-1] + rest]


def _whole_numbers(counts: Any) -> list[int]:
    runs = numbers(counts) or []
    return [int(run) for run in runs] if all(run.is_integer() for run in runs) else []


def _decompressed(text: str) -> list[int]:
    """COCO's compressed counts: differences to the run before last, five bits a character, low bits first
    (rleFrString of the COCO API's maskApi.c), also where Python's `b'...'` was written around them.
    """
    if text[:2] in ("b'", 'b"'):
        try:
            text = ast.literal_eval(text).decode("ascii")
        except (ValueError, SyntaxError):
            return []
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 else []


def _compressed(runs: list[int], height: int, width: int) -> Json:
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode()}


def _encoded(mask: Array) -> Json:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if not coco_mask.area(rle):
        raise NoMask("the RLE has no pixel")
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}
