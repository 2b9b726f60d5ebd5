"""Masks as polygons: traced along the edges of the pixels, then simplified as far as a bound allows.

Coordinates are pixels of the upright image, (0, 0) being the outer corner of its first pixel: a mask of one
pixel is the square from (0, 0) to (1, 1), and filling an unsimplified polygon gives back exactly the mask.
(OpenCV's contours run through pixel centres and lose half a pixel on every side.)

A polygon in Label Studio is one ring without holes. A mask in several pieces becomes several polygons; a hole
that matters is joined to the ring around it by a cut of no width, as COCO tools do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask

TOLERANCE = 0.01
"""How far a simplified outline may stray, as a share of the square root of the mask's area."""

MIN_IOU = 0.97
"""The IoU with the mask that the polygons of an object have at least, whatever its size and shape."""

NEGLIGIBLE = 0.01
"""Pieces, and likewise holes, that together make up less than this share of the mask are left out."""

LEAST_TOLERANCE_PX = 1.5
"""The first tolerance of small objects; half of it still smooths the steps of a slanted edge (0.71 px)."""

FINEST_TOLERANCE_PX = 0.5
"""Below this the steps of the pixels themselves stay, so the exact outline is taken instead."""

Ring = Array
"""(n, 2) x, y: the corners of a closed outline; the last is joined to the first."""


@dataclass
class Piece:
    """A connected part of a mask: the ring around it and the rings of its holes."""

    outer: Ring
    holes: list[Ring] = field(default_factory=list)


def polygons(mask: BoxMask, tolerance: float = TOLERANCE) -> list[Ring]:
    """The rings (n, 2) float64 of a mask, largest first; none for an empty mask.

    The outline is simplified by `tolerance`, which is halved until filling the rings reaches MIN_IOU with the
    mask.
    """
    if not mask.area:
        return []
    pieces = without_negligible(trace(mask.bitmap), mask.area)
    step = max(tolerance * mask.area**0.5, LEAST_TOLERANCE_PX)
    rings = [_one_ring(piece, step) for piece in pieces]
    while step >= FINEST_TOLERANCE_PX and iou(rings, mask.bitmap) < MIN_IOU:
        step /= 2
        rings = [_one_ring(piece, step) for piece in pieces]
    return [ring + np.array([mask.x, mask.y]) for ring in rings]


def trace(bitmap: Array) -> list[Piece]:
    """The outlines of a (h, w) bool mask along the edges of pixels; touching at a corner counts as connected.

    In the mask at double size every pixel has one quarter next to each of its corners, so a contour through
    the centres of the quarters, which is what OpenCV gives, names the corners that the outline passes.
    """
    if not bitmap.any():
        return []
    doubled = bitmap.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_corners((contour[:, 0] + 1) // 2) for contour in contours]
    parents = hierarchy[0, :, 3]
    pieces = {index: Piece(rings[index]) for index in np.flatnonzero(parents < 0)}
    for index in np.flatnonzero(parents >= 0):
        pieces[parents[index]].holes.append(rings[index])
    return list(pieces.values())


def without_negligible(pieces: Sequence[Piece], mask_area: int) -> list[Piece]:
    """The pieces that matter with the holes that matter, both largest first."""
    kept = [pieces[index] for index in _matter([piece.outer for piece in pieces], mask_area)]
    holes = [(owner, hole) for owner, piece in enumerate(kept) for hole in piece.holes]
    result = [Piece(piece.outer) for piece in kept]
    for index in _matter([hole for _, hole in holes], mask_area):
        owner, hole = holes[index]
        result[owner].holes.append(hole)
    return result


def fill(ring: Ring, size: tuple[int, int]) -> Array:
    """The pixels (height, width) bool whose centres lie inside a ring, by the even-odd rule."""
    height, width = size
    following = np.roll(ring, -1, axis=0)
    downwards = (ring[:, 1] < following[:, 1])[
        :, None
    ]  # one direction, so that a cut walked twice cancels out
    (x0, y0), (x1, y1) = np.where(downwards, ring, following).T, np.where(downwards, following, ring).T
    first = np.clip(np.ceil(y0 - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(y1 - 0.5), 0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(ring)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) / (y1[edge] - y0[edge]) * (x1[edge] - x0[edge])
    crossings = np.zeros((height, width + 1), np.uint8)
    np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
    return (np.cumsum(crossings, axis=1, dtype=np.uint8)[:, :width] % 2).astype(bool)


def iou(rings: Sequence[Ring], bitmap: Array) -> float:
    """Intersection over union of filled rings with the mask (h, w) that they were traced from."""
    filled = np.zeros(bitmap.shape, bool)
    for ring in rings:
        filled |= fill(ring, bitmap.shape)
    return float((filled & bitmap).sum() / (filled | bitmap).sum())


def ring_area(ring: Ring) -> float:
    """Area inside a ring in square pixels (shoelace formula)."""
    x, y = ring.T.astype(np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _matter(rings: Sequence[Ring], mask_area: int) -> list[int]:
    """Indices of the rings, largest first, without the small ones that together are negligible."""
    areas = np.array([ring_area(ring) for ring in rings])
    smallest_first = np.argsort(areas, kind="stable")
    dropped = np.searchsorted(np.cumsum(areas[smallest_first]), NEGLIGIBLE * mask_area)
    return [int(index) for index in smallest_first[dropped:][::-1]]


def _one_ring(piece: Piece, tolerance_px: float) -> Ring:
    """The simplified outline of a piece, its holes joined in."""
    ring = _simplify(piece.outer, tolerance_px)
    for hole in piece.holes:
        ring = _join(ring, _simplify(hole, tolerance_px))
    return ring


def _simplify(ring: Ring, tolerance_px: float) -> Ring:
    """Douglas-Peucker; the ring itself where the tolerance is below FINEST_TOLERANCE_PX or leaves no area."""
    if tolerance_px >= FINEST_TOLERANCE_PX:
        simple = cv2.approxPolyDP(ring.astype(np.int32), tolerance_px, closed=True)[:, 0]
        if len(simple) > 2:
            return simple.astype(np.float64)
    return ring.astype(np.float64)


def _join(ring: Ring, hole: Ring) -> Ring:
    """`hole` cut out of `ring` along the shortest line between their corners, walked there and back."""
    distances = np.square(ring[:, None] - hole[None]).sum(axis=2)
    start, entry = np.unravel_index(np.argmin(distances), distances.shape)
    around = np.roll(hole, -int(entry), axis=0)
    return np.concatenate([ring[: start + 1], around, around[:1], ring[start:]])


def _corners(path: Array) -> Ring:
    """A path of corner points without repeated ones and without those on straight stretches."""
    path = path[(path != np.roll(path, 1, axis=0)).any(axis=1)]
    before, after = path - np.roll(path, 1, axis=0), np.roll(path, -1, axis=0) - path
    corners: Ring = path[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return corners
