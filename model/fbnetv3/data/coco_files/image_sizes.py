"""The size of an image file, and how it lies in it, read from its first bytes alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import TiffImageFile

from fbnetv3.images import DECODER_ERRORS, MAX_PIXELS, ImageError

TURNED = range(5, 9)
"""EXIF orientations of images whose sides are swapped when they are shown."""


@dataclass(frozen=True)
class StoredSize:
    """`stored`: (width, height) in the file. `orientation`: EXIF's, 1 to 8; 1 is upright."""

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) as the image is shown."""
        width, height = self.stored
        return (height, width) if self.orientation in TURNED else (width, height)


def read_size(path: Path) -> StoredSize:
    """Raises ImageError for what is no image, has no pixels or too many."""
    try:
        with Image.open(path) as image:
            _check_pixels(*image.size)  # before EXIF is looked for: in a PNG it may stand behind the pixels
            return StoredSize(_stored(image), _orientation(image))
    except UnidentifiedImageError:
        raise ImageError("the file is not an image in a known format") from None
    except FileNotFoundError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from None
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise ImageError(f"the image is damaged or cut short ({error})") from None


def _stored(image: Image.Image) -> tuple[int, int]:
    """(width, height) in the file: recent versions of Pillow turn those of a TIFF on opening."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2[Base.ImageWidth], image.tag_v2[Base.ImageLength]
    return image.size


def _check_pixels(width: int, height: int) -> None:
    if not 1 <= width * height <= MAX_PIXELS:
        raise ImageError(f"the image has {width * height:,} pixels, not 1 to {MAX_PIXELS:,}")


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(Base.Orientation, 1)
    return found if found in range(1, 9) else 1
