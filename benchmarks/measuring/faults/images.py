"""Damaged image files: read_image gives pixels or one sentence."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fbnetv3.images import MAX_PIXELS, ImageError, read_image
from fbnetv3.scenes import generate_scene
from measuring.faults.mutation import damaged
from measuring.faults.trials import Broke, Subject, Trial

#: Training draws from the first million.
FIRST_SCENE = 6_000_000
SIZE = (128, 160)
TURNED = 6
ORIENTATION_TAG = 0x0112
#: Name -> Pillow's format, mode, and what else it is told.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "RGB", {"quality": 85}),
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True}),
    "JPEG, grey": ("JPEG", "L", {}),
    "JPEG, CMYK": ("JPEG", "CMYK", {}),
    "JPEG, turned": ("JPEG", "RGB", {"exif": TURNED}),
    "PNG": ("PNG", "RGB", {}),
    "PNG, palette": ("PNG", "P", {"transparency": 3}),
    "PNG, transparent": ("PNG", "RGBA", {}),
    "PNG, 16 bits": ("PNG", "I;16", {}),
    "WebP": ("WEBP", "RGB", {"quality": 80}),
    "WebP, lossless": ("WEBP", "RGBA", {"lossless": True}),
    "WebP, animated": ("WEBP", "RGB", {"save_all": True}),
    "GIF": ("GIF", "P", {}),
    "GIF, animated": ("GIF", "P", {"save_all": True}),
    "TIFF": ("TIFF", "RGB", {}),
    "TIFF, LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF, deflate": ("TIFF", "RGBA", {"compression": "tiff_adobe_deflate"}),
    "TIFF, JPEG": ("TIFF", "RGB", {"compression": "jpeg"}),
    "TIFF, 16 bits": ("TIFF", "I;16", {}),
    "TIFF, floats": ("TIFF", "F", {}),
    "BMP": ("BMP", "RGB", {}),
    "BMP, palette": ("BMP", "P", {}),
}


class Images(Subject):
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        self._files = dict(_files())

    def trial(self, number: int, dice: random.Random) -> Trial:
        """One damaged file."""
        kind = dice.choice(list(self._files))
        content = damaged(dice, self._files[kind], list(self._files.values()))
        return Trial(KINDS[kind][0], {"image": content}, lambda: _attempt(content))


def _attempt(content: bytes) -> str:
    try:
        pixels = read_image(content)
    except ImageError as error:
        if not str(error) or "\n" in str(error):
            raise Broke(f"not one sentence: {str(error)!r}") from None
        return "refused"
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise Broke(f"gave {pixels.shape} {pixels.dtype}")
    if not 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS:
        raise Broke(f"gave {pixels.shape}")
    return "read"


def _files() -> Iterator[tuple[str, bytes]]:
    """A drawn scene in every kind of file."""
    scenes = [
        Image.fromarray(generate_scene(FIRST_SCENE + number, SIZE).image[::2, ::2]) for number in range(2)
    ]
    for name, (format_, mode, options) in KINDS.items():
        first, second = (_converted(scene, mode) for scene in scenes)
        options = {**options, **({"exif": _exif()} if "exif" in options else {})}
        more = {"append_images": [second]} if options.get("save_all") else {}
        buffer = io.BytesIO()
        first.save(buffer, format_, **options, **more)
        yield name, buffer.getvalue()


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "RGBA":
        image.putalpha(image.convert("L"))
        return image
    return image.convert(mode)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURNED
    return exif
