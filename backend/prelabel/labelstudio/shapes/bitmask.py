"""Bitmasks: a PNG in a data: URL (`imageDataURL`), black on transparent, as large as the image.

Label Studio's editor draws the alpha channel alone and stretches a picture of another size over the image, so that is
how it is read. Written is a picture of two colours with one bit per pixel, which browsers and decoders show as the same
pixels and which takes a fraction of the bytes and the time of the editor's own four channels.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from fbnetv3.arrays import Array
from fbnetv3.images import DECODER_ERRORS
from fbnetv3.instances import BoxMask, Instances
from prelabel.labelstudio.shapes.geometry import Drawn, RegionError, Size, Value, drawn_mask

PREFIX, ENCODING = "data:image/png", "base64"

HALF = 128
"""The lowest alpha of a set pixel: the editor's bitmask tool smooths its edges, as its brush does."""

MOST_PIXELS = 4
"""How many times the pixels of the image a picture may have: twice as wide and as high. Nothing larger is decoded."""

BLACK_AND_BLACK = (0, 0, 0) * 2
"""The palette: the first colour is made transparent."""


def read(value: Value, image_size: Size) -> Drawn:
    """The pixels that are at least HALF opaque."""
    alpha = _alpha(_png(value["imageDataURL"]), image_size)
    return drawn_mask(BoxMask.from_full(np.asarray(alpha) >= HALF))


def write(instances: Instances, index: int, tolerance: float) -> Iterator[Value]:
    """The mask as it is."""
    if instances.masks is not None and instances.masks[index].area:
        png = _to_png(instances.masks[index].full(instances.image_size))
        yield {"imageDataURL": f"{PREFIX};{ENCODING},{base64.b64encode(png).decode('ascii')}"}


def _png(url: object) -> bytes:
    """The content of a data: URL."""
    head, comma, content = url.strip().partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or not head.startswith(PREFIX) or not head.endswith(ENCODING):
        raise RegionError("cannot be read: its imageDataURL is no PNG in a data: URL")
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RegionError("cannot be read: its imageDataURL is not Base64") from None


def _alpha(png: bytes, image_size: Size) -> Image.Image:
    """The alpha channel at the size of the image."""
    height, width = image_size
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS * height * width:
                raise RegionError(
                    f"cannot be read: its picture of {picture.width} x {picture.height} pixels is far larger than "
                    f"the image of {width} x {height}"
                )
            if not picture.has_transparency_data:
                raise RegionError(
                    "cannot be read: its picture has no transparency, so it covers the whole image"
                )
            alpha = picture.convert("RGBA").getchannel("A")
    except DECODER_ERRORS as error:
        if isinstance(error, RegionError):
            raise
        raise RegionError("cannot be read: its picture is no PNG, or a damaged one") from None
    return (
        alpha if alpha.size == (width, height) else alpha.resize((width, height), Image.Resampling.BILINEAR)
    )


def _to_png(mask: Array) -> bytes:
    """A mask (height, width) bool as a PNG."""
    picture = Image.fromarray(mask.astype(np.uint8), "P")
    picture.putpalette(BLACK_AND_BLACK)
    stream = io.BytesIO()
    picture.save(stream, "PNG", bits=1, transparency=0)
    return stream.getvalue()
