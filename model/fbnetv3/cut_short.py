"""Image files whose last bytes are missing: read where nearly all of the picture is there, as browsers do.

The missing end is filled up, so that the decoder gets through, and the pixels are counted that only the filling made.
Pillow has a switch for such files, but it holds for the whole process and does not say how much is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

#: The share of the pixels that may be missing: a strip along one edge, so that an object that reaches far into the
#: picture still shows. Labels on a picture that lacks more would be labels on what is not there.
MAX_MISSING = 0.1

_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
_SEQUENTIAL, _FRAMES = (0xC0, 0xC1), (0xC0, 0xC1, 0xC2)
_START_OF_SCAN, _END_OF_PICTURE = 0xDA, 0xD9

Load = Callable[[bytes], Image.Image]
"""Opens and decodes a file's bytes; raises what Pillow raises on damaged ones."""


def read_cut_short(data: bytes, load: Load) -> tuple[Image.Image, float] | None:
    """The picture in a file that lacks its end, and the share (0..1) of its pixels that are missing and left blank.

    None where that is more than MAX_MISSING. Raises what `load` raises where nothing can be read without the end.
    """
    found = (_jpeg if data.startswith(_JPEG) else _other)(data, load)
    return found if found and found[1] <= MAX_MISSING else None


def _jpeg(data: bytes, load: Load) -> tuple[Image.Image, float] | None:
    """libjpeg leaves blocks without data at a uniform middle grey."""
    if not _only_details_missing(data):
        return None
    image = load(data.rstrip(b"\xff") + _END_OF_JPEG)
    grey = np.abs(np.asarray(image, np.float32) - 127.5) < 1
    return image, _tail(grey.all(-1) if grey.ndim == 3 else grey)


def _tail(blank: np.ndarray) -> float:
    """The share of the pixels (H, W) in the blank area that ends at the last one; others may be the picture's own."""
    last_column = blank[::-1, -1]
    rows = len(last_column) if last_column.all() else int(last_column.argmin())
    return float(blank[len(blank) - rows :].sum() / blank.size)


def _other(data: bytes, load: Load) -> tuple[Image.Image, float] | None:
    """Filled up with nothing and with noise, a file gives pictures that differ where it does not say what is there."""
    noise = np.random.default_rng(0).integers(0, 256, len(data), np.uint8).tobytes()
    image, other = load(data + bytes(len(data))), load(data + noise)
    if (image.size, image.mode) != (other.size, other.mode):
        return None
    differs = np.asarray(image) != np.asarray(other)
    return image, float((differs.any(-1) if differs.ndim == 3 else differs).mean())


def _only_details_missing(data: bytes) -> bool:
    """Whether the scans of a JPEG that are missing altogether could only have refined what is there.

    A progressive file tells a coarse picture first: cut between two scans it decodes without a gap, but coarsely. Its
    last scan of each component, all frequencies to the last bit, must have begun. In a sequential file one scan must
    hold all components: else the colours may be missing.
    """
    sequential, components, complete = False, frozenset[int](), set[int]()
    for marker, segment in _segments(data):
        if marker in _FRAMES:
            sequential, components = marker in _SEQUENTIAL, frozenset(segment[6::3])
        elif marker == _START_OF_SCAN and len(segment) >= 6:
            scanned, last_frequency, bits_left = segment[1:-3:2], segment[-2], segment[-1] & 0x0F
            if sequential:
                return set(scanned) == components
            if last_frequency == 63 and bits_left == 0:
                complete |= set(scanned)
    return bool(components) and components <= complete


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of the marker segments of a JPEG, to the end of its first picture (ITU T.81, annex B)."""
    at = len(_JPEG)
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == _END_OF_PICTURE:
            return
        if marker == 0xFF:  # may be repeated before a marker
            at += 1
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # a byte of a scan, or a marker without content
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            yield marker, data[at + 4 : at + 2 + length]
            at += 2 + length
