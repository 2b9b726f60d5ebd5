"""Image files whose last bytes are missing: read where nearly the whole picture is there."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fbnetv3.cut_jpeg import read_cut_jpeg

MOST_MISSING = 0.1
"""Share of the picture that may be missing. Annotators see the same gap, so few labels are lost; with more missing,
objects that are there would be learnt as "nothing is here"."""

ROW_BY_ROW = ("BMP", "PNG", "PPM", "TGA", "TIFF")
"""Formats of which Pillow keeps the rows that it could decode."""

DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, RuntimeError, SystemError, TypeError, ArithmeticError, LookupError,
    AttributeError, struct.error,
)  # fmt: skip
"""What Pillow's decoders raise on damaged files, depending on the format and the place of the damage."""


@dataclass(frozen=True, eq=False)
class CutImage:
    """A loaded image; `missing`: the share of its area that was not in the file, 0..1."""

    image: Image.Image
    missing: float

    @property
    def usable(self) -> bool:
        """Whether nearly all of the picture is there."""
        return self.missing <= MOST_MISSING


def read_cut(data: bytes, file_format: str | None) -> CutImage | None:
    """What is left of a file that Pillow calls truncated; None where nothing can be told about it."""
    with suppress(*DAMAGE):
        if file_format in ("JPEG", "MPO"):
            left = read_cut_jpeg(data)
            return CutImage(*left) if left else None
        if file_format in ROW_BY_ROW:
            image, other = (_rows(data, ground) for ground in (0, 1))
            changed = np.asarray(image) != np.asarray(other)
            return CutImage(image, float((changed if changed.ndim == 2 else changed.any(axis=2)).mean()))
    return None


def _rows(data: bytes, ground: int) -> Image.Image:
    """The rows that can be decoded, on a ground of this value: where two grounds differ, no row was written."""
    image = Image.open(io.BytesIO(data))
    image.load_prepare()
    image.im.paste(ground if image.im.bands == 1 else (ground,) * image.im.bands, (0, 0, *image.im.size))
    with suppress(*DAMAGE):
        image.load()
    image.tile = []
    return image
