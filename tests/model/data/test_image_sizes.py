"""The size that COCO labels are held against is the size of the picture that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fbnetv3.data.coco_files.image_sizes import read_size
from fbnetv3.images import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_sizes_agree_with_the_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (40, 24)).save(path, exif=exif)

    size = read_size(path)
    assert size.stored == (40, 24) and size.orientation == orientation
    assert size.upright == read_image(path).shape[1::-1]
