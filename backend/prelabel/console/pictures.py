"""A picture inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

LARGEST = (1400, 1000)
"""Pixels: more than a page shows."""

QUALITY = 85


def as_data_url(picture: Image.Image) -> str:
    """A JPEG of at most LARGEST as the address of an image."""
    picture.thumbnail(LARGEST)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
