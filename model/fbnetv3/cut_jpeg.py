"""JPEG files whose end is missing: the picture that is left, and how much of it the file does not tell.

The missing end is replaced by two different endings. What differs between the two pictures was not in the file, and
a JPEG is coded from top to bottom: so is everything below. Where a file ends at a restart marker no ending is decoded;
there the markers are counted. Nothing global is switched, so threads do not meet.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image, ImageChops

COEFFICIENTS = 64
"""Of a block of 8 x 8 pixels."""
UNKNOWN = 16
"""More low bits than a coefficient has."""
LAST_BIT = 1
"""A progressive file whose coefficients lack this many low bits shows what the whole one shows, a little coarser."""

START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
RESTART_INTERVAL, RESTARTS = 0xDD, frozenset(range(0xD0, 0xD8))
FILL = 0xFF
STANDALONE = RESTARTS | {0x00, 0x01, 0xD8, FILL}
"""What follows 0xFF without a length: a stuffed byte, restart markers, the start of the image."""


@dataclass(frozen=True)
class Layout:
    """`block_row`: pixels from one row of coded blocks to the next. `before`, `begun`: low bits that the worst
    coefficient still lacks before the scan in which the file ends, and after it. `unsent`: the share of that scan,
    0..1, that surely is missing by the count of its restart markers; 0 where it has none."""

    block_row: int
    before: int
    begun: int
    unsent: float


def read_cut_jpeg(data: bytes) -> tuple[Image.Image, float] | None:
    """The picture, grey where it is missing, and the missing share of its area, 0..1; None where too little is left.

    Raises what Pillow raises (fbnetv3.images.DECODER_ERRORS) for what is damaged in other ways.
    """
    data = data.rstrip(b"\xff")
    layout = _layout(data)
    if layout is None or layout.begun > LAST_BIT:
        return None
    picture = _decoded(data)
    if layout.before <= LAST_BIT:
        return picture, 0.0
    return picture, _missing(data, layout)


def _decoded(data: bytes, ending: bytes = b"") -> Image.Image:
    image = Image.open(io.BytesIO(data + ending + END_OF_IMAGE), formats=["JPEG"])
    image.load()
    return image


def _missing(data: bytes, layout: Layout) -> float:
    one, other = (_decoded(data, _ending(seed, len(data))) for seed in (0, 1))
    difference = ImageChops.difference(one, other)
    changed = difference.getbbox()
    if changed is None:
        return layout.unsent
    width, height = difference.size
    top, below = changed[1], min(changed[1] + layout.block_row, height)
    in_row = difference.crop((0, top, width, below)).getbbox() or (0, 0, 0, 0)
    area = (width - in_row[0]) * (below - top) + width * (height - below)
    return max(area / (width * height), layout.unsent)


def _ending(seed: int, length: int) -> bytes:
    """Bytes without a marker (0xFF) that end as much again as there is."""
    return np.random.default_rng(seed).integers(0, 0xFF, length, dtype=np.uint8).tobytes()


def _layout(data: bytes) -> Layout | None:
    """None for a file that ends before its first scan, or whose header is damaged."""
    try:
        return _follow(data)
    except (IndexError, KeyError, ValueError, ZeroDivisionError):
        return None


def _follow(data: bytes) -> Layout:
    frame = _Frame(bytes(6))
    lacking = before = np.empty((0, COEFFICIENTS), np.uint8)
    interval, restarts, blocks = 0, 0, 1
    for marker, body in _segments(data):
        if marker in START_OF_FRAME:
            frame = _Frame(body)
            lacking = np.full((len(frame.sampling), COEFFICIENTS), UNKNOWN, np.uint8)
        elif marker == RESTART_INTERVAL:
            interval = int.from_bytes(body[:2])
        elif marker in RESTARTS:
            restarts += 1
        elif marker == START_OF_SCAN:
            parts = [frame.index[body[1 + 2 * i]] for i in range(body[0])]
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            before = lacking.copy()
            lacking[parts, first : last + 1] = bits & 15
            restarts, blocks = 0, frame.blocks(parts)
    unsent = 1 - (restarts + 1) * interval / blocks if interval else 0.0
    return Layout(frame.block_row, int(before.max()), int(lacking.max()), max(unsent, 0.0))


class _Frame:
    """The frame header: the picture's size, and how its components are sampled."""

    def __init__(self, body: bytes) -> None:
        self.height, self.width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
        self.index = {body[6 + 3 * i]: i for i in range(body[5])}
        self.sampling = [divmod(body[7 + 3 * i], 16) for i in range(body[5])]

    @property
    def block_row(self) -> int:
        return 8 * max(down for _, down in self.sampling)

    def blocks(self, parts: list[int]) -> int:
        """Coded units of a scan: blocks where it has one component, else groups of blocks that cover the same area."""
        across, down = 8 * max(across for across, _ in self.sampling), self.block_row
        if len(parts) == 1:
            own_across, own_down = self.sampling[parts[0]]
            across, down = across // own_across, down // own_down
        return ceil(self.width / across) * ceil(self.height / down)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every marker, with what stands in its segment; coded pixels are skipped."""
    offset = data.find(b"\xff")
    while 0 <= offset < len(data) - 1:
        marker = data[offset + 1]
        length = 0 if marker in STANDALONE else int.from_bytes(data[offset + 2 : offset + 4])
        yield marker, data[offset + 4 : offset + 2 + length]
        offset = data.find(b"\xff", offset + (1 if marker == FILL else 2) + length)
