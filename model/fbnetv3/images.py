"""Read any image as upright 8-bit RGB, and bring it to the network's size."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fbnetv3.arrays import Array
from fbnetv3.brightness import to_byte
from fbnetv3.cut_images import DAMAGE, MOST_MISSING, read_cut
from fbnetv3.errors import FbnetError

logger = logging.getLogger(__name__)

ImageSource = str | Path | bytes | Image.Image | Array

#: An image of this many pixels takes 300 MB as RGB; more is refused unless the caller allows it.
MAX_PIXELS = 100_000_000
#: Pillow's limit would be applied before the caller's; ours is checked before anything is decoded, too.
Image.MAX_IMAGE_PIXELS = None
#: What Pillow says of odd metadata names no file and changes no pixel; a damaged picture is an error, or a sentence.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

DECODER_ERRORS = DAMAGE


class ImageError(FbnetError, ValueError):
    """A source is no image that can be read; the message says in one sentence why."""


def read_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, warn: Callable[[str], object] | None = None
) -> Array:
    """A file, the bytes of one, a PIL image or an array -> (H, W, 3) uint8, red, green, blue, upright.

    EXIF orientation is applied; grey becomes RGB; 16-bit values are divided by 257, as browsers show them; 32-bit
    values are scaled (fbnetv3.brightness); transparency is laid over white. An array is (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4), uint8, uint16 or bool.

    A file that lacks its last bytes is read where at most a tenth of the picture is missing; `warn` gets a sentence
    about it (default: the log).

    Raises ImageError for what is no image, lacks more, is empty or has more than `max_pixels` pixels.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_pil(source, max_pixels)
    if isinstance(source, bytes):
        return _from_file(source, max_pixels, warn or logger.warning)
    return _from_file(
        _read_bytes(source), max_pixels, warn or (lambda text: logger.warning("%s: %s", source, text))
    )


def network_size(height: int, width: int, min_size: int, max_size: int) -> tuple[int, int]:
    """(height, width) with the shorter side at `min_size`, or the longer at `max_size` where that is less.

    detectron2 ResizeShortestEdge, in its order of floating-point operations: COCO's many 640 x 427 photos fall
    on a half, and a pixel more or less there costs 0.3 points of AP. Each side is rounded half up.
    """
    scale = min_size / min(height, width)
    new: tuple[float, float] = (min_size, scale * width) if height < width else (scale * height, min_size)
    if max(new) > max_size:
        scale = max_size / max(new)
        new = (new[0] * scale, new[1] * scale)
    return max(int(new[0] + 0.5), 1), max(int(new[1] + 0.5), 1)


def to_network(image: Array, size: tuple[int, int]) -> Array:
    """(H, W, 3) uint8 RGB -> (3, height, width) float32, blue, green, red, 0..255; bilinear with antialiasing."""
    if image.shape[:2] != size:
        image = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    return np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1), dtype=np.float32)


def _read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:
        raise ImageError(f"{str(path)!r} cannot be the name of a file") from None


def _from_file(data: bytes, max_pixels: int, warn: Callable[[str], object]) -> Array:
    if not data:
        raise ImageError("the image file is empty")
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError("the file is not an image in a known format") from None
    except DECODER_ERRORS as error:
        raise _damaged(error) from None
    with image:
        _check_size(image.width, image.height, max_pixels)
        try:
            image.load()
        except DECODER_ERRORS as error:
            return _from_pil(_what_is_left(data, image.format, error, warn), max_pixels)
        return _from_pil(image, max_pixels)


def _what_is_left(
    data: bytes, file_format: str | None, error: Exception, warn: Callable[[str], object]
) -> Image.Image:
    cut = read_cut(data, file_format)
    if cut is None:
        raise _damaged(error) from None
    if not cut.usable:
        raise ImageError(
            f"the image is damaged or cut short: {cut.missing:.0%} of it is missing, more than the allowed "
            f"{MOST_MISSING:.0%}"
        ) from None
    warn(
        f"the image file is cut short, about {cut.missing:.1%} of the picture is missing: copy the file again"
    )
    return cut.image


def _from_pil(image: Image.Image, max_pixels: int) -> Array:
    _check_size(image.width, image.height, max_pixels)
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        return _flatten(image)
    except DECODER_ERRORS as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> ImageError:
    return ImageError(f"the image is damaged or cut short ({error})")


def _flatten(image: Image.Image) -> Array:
    if image.mode in ("I", "F"):
        return _from_array(to_byte(np.asarray(image)), image.width * image.height)
    if image.mode.startswith("I"):
        return _from_array(np.asarray(image), image.width * image.height)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _from_array(array: Array, max_pixels: int) -> Array:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(f"an image array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
    _check_size(array.shape[1], array.shape[0], max_pixels)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype.newbyteorder("=") == np.uint16:
        array = (array // 257).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"an image array is uint8, uint16 or bool, not {array.dtype}")
    if array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        array = ((array[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("the image has no pixels")
    if width * height > max_pixels:
        raise ImageError(f"the image has {width * height:,} pixels, more than the allowed {max_pixels:,}")
