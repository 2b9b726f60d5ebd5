"""Files that lack their last bytes: read with a warning where nearly all of the picture is there, else refused."""

from __future__ import annotations

import io
import itertools
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from fbnetv3.cut_short import MAX_MISSING
from fbnetv3.images import ImageError, read_image
from fbnetv3.learning.examples import SceneExamples

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

SCENE = SceneExamples(0, 1, (320, 240))[0].image
#: Kinds of JPEG, as files of the scene.
JPEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "usual": ("RGB", {}),
    "full colour": ("RGB", {"subsampling": 0}),
    "restart markers": ("RGB", {"restart_marker_blocks": 3}),
    "progressive": ("RGB", {"progressive": True}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
}


def jpeg(kind: str = "usual", scene: np.ndarray = SCENE) -> bytes:
    mode, options = JPEGS[kind]
    return file_of(scene, "JPEG", mode, quality=90, **options)


def file_of(scene: np.ndarray, file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def changed(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ."""
    return float((one != other).any(-1).mean())


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("cut", [1, 2])
def test_without_its_end_marker_a_jpeg_is_the_whole_picture(
    kind: str, cut: int, caplog: pytest.LogCaptureFixture
):
    whole = jpeg(kind)
    assert np.array_equal(read_image(whole[:-cut]), read_image(whole))
    assert "lacks its last bytes: 0.0 % of the picture is missing" in caplog.text or kind == "grey"


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_some_per_cent_less_are_a_strip_at_the_lower_edge(kind: str, share: float):
    whole = jpeg(kind)
    expected, found = read_image(whole), read_image(whole[: int(len(whole) * (1 - share))])
    assert found.shape == expected.shape
    assert changed(found, expected) <= MAX_MISSING + 0.02  # the last block may be there in part
    assert np.array_equal(found[: 240 * 3 // 4], expected[: 240 * 3 // 4]) or kind == "progressive"
    assert np.abs(found.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.5, 0.6, 0.75, 0.9, 0.98])
def test_what_is_cut_in_the_middle_is_refused(kind: str, share: float):
    whole = jpeg(kind)
    with pytest.raises(ImageError, match="damaged or cut short"):
        read_image(whole[: int(len(whole) * (1 - share))])


def test_a_coarse_picture_is_no_picture():
    """A progressive file cut between two scans decodes without a gap."""
    whole = jpeg("progressive")
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    assert len(scans) == 10
    for start in scans[1:-1]:
        with pytest.raises(ImageError, match="damaged or cut short"):
            read_image(whole[:start])
    assert changed(read_image(whole[: scans[-1] + 20]), read_image(whole)) > 0  # all but the last bit


def test_the_warning_names_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "photo.jpg").write_bytes(jpeg()[:-2])
    for source, options in ((tmp_path / "photo.jpg", {}), (jpeg()[:-2], {"name": "task 7, image"})):
        read_image(source, **options)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0].startswith(f"{tmp_path / 'photo.jpg'} lacks its last bytes")
    assert caplog.messages[1].startswith("task 7, image lacks its last bytes")


def test_a_whole_file_brings_no_warning(caplog: pytest.LogCaptureFixture):
    for kind, end in itertools.product(JPEGS, (b"", b"garbage" * 100, bytes(50))):
        assert np.array_equal(read_image(jpeg(kind) + end), read_image(jpeg(kind)))
    assert not caplog.messages


def test_orientation_holds_for_what_is_cut():
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = file_of(SCENE, "JPEG", exif=exif)
    assert np.array_equal(read_image(whole[:-2]), read_image(whole))
    assert read_image(whole[:-2]).shape == (320, 240, 3)


@pytest.mark.parametrize(
    ("file_format", "cuts"),
    [
        ("PNG", (4, 12, 16)),
        ("GIF", (1, 2)),
        ("WEBP", (1, 2)),
        ("BMP", (1, 5000)),
        ("PPM", (1, 5000)),
        ("TIFF", (1, 5000)),
        ("TGA", (26,)),
    ],
)
def test_other_formats_may_lack_their_end_too(file_format: str, cuts: tuple[int, ...]):
    whole = file_of(SCENE, file_format)
    for cut in cuts:
        missing = 0 if cut < 100 else cut / len(whole)
        assert changed(read_image(whole[:-cut]), read_image(whole)) <= missing + 0.001


@pytest.mark.parametrize(
    "file_format", ["PNG", "GIF", "WEBP", "BMP", "PPM", "TIFF", "TGA", "JPEG2000", "AVIF"]
)
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_other_formats_cut_in_the_middle_are_refused(file_format: str, share: float):
    whole = file_of(SCENE, file_format)
    with pytest.raises(ImageError):
        read_image(whole[: int(len(whole) * (1 - share))])


def test_the_pixel_limit_holds_for_what_is_cut():
    with pytest.raises(ImageError, match="more than the allowed 76,799"):
        read_image(jpeg()[:-2], max_pixels=240 * 320 - 1)


def test_pillows_switch_is_not_touched():
    """It holds for the whole process: one thread's damaged file would be another one's picture."""
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(read_image, [jpeg()[:-2]] * 8))
    assert all(np.array_equal(picture, read_image(jpeg())) for picture in pictures)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_damage_is_an_image_error_or_a_picture(file_format: str):
    whole = file_of(SCENE[::4, ::4], file_format)
    random = np.random.default_rng(3)
    for _ in range(40):
        data = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for at in random.integers(0, len(data), random.integers(0, 6)):
            data[at] = random.integers(0, 256)
        try:
            assert read_image(bytes(data), max_pixels=100_000).shape[2] == 3
        except ImageError as error:
            assert "\n" not in str(error)
