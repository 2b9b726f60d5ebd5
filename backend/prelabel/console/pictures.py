"""Pictures for pages, as JPEG."""

from __future__ import annotations

import base64
import io

from PIL import Image

LARGEST = (1400, 1000)
"""Pixels: more than a page shows."""

QUALITY = 85


def jpeg(picture: Image.Image, most: tuple[int, int], quality: int = QUALITY) -> bytes:
    """A JPEG of at most (width, height); the picture itself is shrunk."""
    picture.thumbnail(most)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def as_data_url(picture: Image.Image) -> str:
    """A JPEG of at most LARGEST as the address of an image inside a page."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(picture, LARGEST)).decode()}"
