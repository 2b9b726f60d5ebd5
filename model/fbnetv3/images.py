"""Read any image as upright 8-bit RGB, and bring it to the network's size."""

from __future__ import annotations

import io
import logging
import struct
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fbnetv3.cut_short import Load, read_cut_short

logger = logging.getLogger(__name__)

ImageSource = str | Path | bytes | Image.Image | np.ndarray

#: An image of this many pixels takes 300 MB as RGB; more is refused unless the caller allows it.
MAX_PIXELS = 100_000_000
#: Pillow's limit would go before the caller's; ours is checked before anything is decoded, too.
Image.MAX_IMAGE_PIXELS = None

#: What may be white in an image of more than 8 bits: a share, 8 bits, and what cameras and scanners deliver.
FULL_SCALES = (1, 255, 1023, 4095, 65535)
#: Darker than this share of white throughout, an image would look black.
DARKEST = 1 / 16

#: What Pillow's decoders raise on damaged files, depending on the format and the place of the damage.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, ArithmeticError, LookupError, AttributeError,
    struct.error,
)  # fmt: skip


class ImageError(ValueError):
    """A source is no image that can be read; the message says in one sentence why."""


def read_image(source: ImageSource, max_pixels: int = MAX_PIXELS, name: str = "") -> np.ndarray:
    """A file, the bytes of one, a PIL image or an array -> (H, W, 3) uint8, red, green, blue, upright.

    EXIF orientation is applied; of several pictures in a file the first counts; grey becomes RGB; values of more than
    8 bits are scaled (`to_eight_bits`); transparency is laid over white. An array is (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4), uint8, uint16 or bool.

    A file that lacks its last bytes is read where nearly all of the picture is there (cut_short.py), and a warning in
    the log says so; there `name` is what the image is called, the path where it is not given.

    Raises ImageError for what is no image, is damaged, is empty or has more than `max_pixels` pixels.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        _check_size(source.width, source.height, max_pixels)
        return _upright_rgb(source)
    if isinstance(source, bytes):
        return _from_file(source, max_pixels, name or "an image")
    return _from_file(_read_bytes(source), max_pixels, name or str(source))


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Numbers of any type, (H, W) or (H, W, channels) -> uint8 of the same shape, 0 black and 255 white.

    White is the least of FULL_SCALES that no value exceeds: 16 bits are divided by 257, as browsers show them, and 12
    bits in 16 are not black. Where a value is negative, or none reaches DARKEST of that scale, the least value is black
    and the greatest white. What is not a number is black, infinity is the end of the scale.

    Raises ImageError where no value is finite.
    """
    real = values.dtype.kind == "f"
    finite = values[np.isfinite(values)] if real else values
    if not finite.size:
        raise ImageError("the image holds no finite value")
    black, white = _range(finite.min().item(), finite.max().item())
    # An integer is rounded down, as 16 bits always were; a float may be a hair below the integer that it stands for.
    offset = 0.5 if real else 1e-6
    scaled = np.empty(values.shape, np.uint8)
    for row, target in zip(values, scaled, strict=True):  # an image in float64 would be eight times its size
        shades = (row.astype(np.float64) - black) * (255 / (white - black)) + offset
        target[:] = np.nan_to_num(shades, nan=0, posinf=255, neginf=0).clip(0, 255)
    return scaled


def _range(least: float, greatest: float) -> tuple[float, float]:
    """The values that become black and white."""
    scale = next((scale for scale in FULL_SCALES if scale * DARKEST <= greatest <= scale), None)
    if least >= 0 and scale is not None:
        return 0, scale
    return least, greatest if greatest > least else least + 1


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


def to_network(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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


def _from_file(data: bytes, max_pixels: int, name: str) -> np.ndarray:
    if not data:
        raise ImageError("the image file is empty")
    load = partial(_load, max_pixels=max_pixels)
    try:
        image = load(data)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("the file is not an image in a known format") from None
    except DECODER_ERRORS as error:
        image = _without_its_end(data, load, name, error)
    with image:
        return _upright_rgb(image)


def _load(data: bytes, max_pixels: int) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    _check_size(image.width, image.height, max_pixels)
    image.load()
    return image


def _without_its_end(data: bytes, load: Load, name: str, error: Exception) -> Image.Image:
    """What a file that cannot be decoded holds if only its last bytes are missing."""
    try:
        found = read_cut_short(data, load)
    except DECODER_ERRORS:
        found = None
    if found is None:
        raise _damaged(error) from None
    image, missing = found
    logger.warning(
        "%s lacks its last bytes: %.1f %% of the picture is missing and left blank", name, 100 * missing
    )
    return image


def _upright_rgb(image: Image.Image) -> np.ndarray:
    try:
        image.load()
        return _flatten(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> ImageError:
    return ImageError(f"the image is damaged or cut short ({error})")


def _flatten(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(("I", "F")):
        return _as_rgb(to_eight_bits(np.asarray(image))[:, :, None])
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _from_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(f"an image array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
    _check_size(array.shape[1], array.shape[0], max_pixels)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype.newbyteorder("=") == np.uint16:
        array = to_eight_bits(array)
    elif array.dtype != np.uint8:
        raise ImageError(f"an image array is uint8, uint16 or bool, not {array.dtype}")
    if array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        array = ((array[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return _as_rgb(array)


def _as_rgb(array: np.ndarray) -> np.ndarray:
    """(H, W, 1) or (H, W, 3) -> (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("the image has no pixels")
    if width * height > max_pixels:
        raise ImageError(f"the image has {width * height:,} pixels, more than the allowed {max_pixels:,}")
