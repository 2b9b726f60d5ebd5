"""Image files without their last bytes: read and named where nearly all is there, refused where it is not."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from fbnetv3.cut_images import MOST_MISSING, read_cut
from fbnetv3.images import ImageError, read_image
from fbnetv3.scenes import generate_scene

SCENE = Image.fromarray(generate_scene(5_000_001, (240, 320)).image)
VISIBLE = 24
"""Levels of 255: compression does not move a pixel so far."""

ONE_PASS: dict[str, dict[str, Any]] = {
    "usual": {},
    "full colour": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restart in every block": {"restart_marker_blocks": 1},
    "restart in every row": {"restart_marker_rows": 1},
}
WARNING = "the image file is cut short, about"


def file_of(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def read(data: bytes) -> tuple[np.ndarray, list[str]]:
    """The pixels and what was said about them."""
    said: list[str] = []
    return read_image(data, warn=said.append), said


def changed(found: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.abs(found.astype(int) - whole).max(axis=2) > VISIBLE


class TestJpeg:
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("kind", ONE_PASS)
    def test_the_missing_share_is_what_is_not_there(self, mode: str, kind: str) -> None:
        data = file_of(SCENE.convert(mode), **ONE_PASS[kind])
        whole = read_image(data)
        for share in np.linspace(0.005, 0.8, 8):
            cut = read_cut(data[: len(data) - int(len(data) * share)], "JPEG")
            assert cut is not None
            lost = changed(np.asarray(cut.image.convert("RGB")), whole)
            assert lost.mean() <= cut.missing + 0.001
            assert abs(cut.missing - share) < 0.09

    @pytest.mark.parametrize("lost", [1, 2])
    @pytest.mark.parametrize("options", [*ONE_PASS.values(), {"progressive": True}])
    def test_without_the_end_marker_the_picture_is_whole(self, lost: int, options: dict[str, Any]) -> None:
        data = file_of(SCENE, **options)
        found, said = read(data[:-lost])
        assert np.array_equal(found, read_image(data))
        assert said == [f"{WARNING} 0.0% of the picture is missing: copy the file again"]

    def test_what_is_missing_is_grey_and_the_rest_is_right(self) -> None:
        data = file_of(SCENE, quality=90)
        found, said = read(data[: len(data) * 95 // 100])
        lost = changed(found, read_image(data))
        assert not lost[: int(240 * (1 - MOST_MISSING))].any()
        assert (found[-1, -1] == 128).all()
        [warning] = said
        assert warning.startswith(WARNING)

    @pytest.mark.parametrize("kind", ONE_PASS)
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
    def test_a_picture_of_which_more_is_missing_is_refused(self, kind: str, share: float) -> None:
        data = file_of(SCENE, **ONE_PASS[kind])
        with pytest.raises(ImageError, match=r"cut short: .*% of it is missing, more than the allowed 10%"):
            read(data[: int(len(data) * (1 - share))])

    @pytest.mark.parametrize("colour", ["white", "black"])
    def test_plain_pictures_too(self, colour: str) -> None:
        data = file_of(Image.new("RGB", (320, 240), colour))
        assert np.array_equal(read(data[:-2])[0], read_image(data))
        head = data.index(b"\xff\xda") + 14
        with pytest.raises(ImageError, match="cut short"):
            read(data[: (head + len(data)) // 2])

    def test_a_progressive_file_lacks_detail_not_places(self) -> None:
        data = file_of(SCENE, progressive=True)
        whole = read_image(data)
        for share in (0.01, 0.1, 0.3):
            found, said = read(data[: int(len(data) * (1 - share))])
            assert np.abs(found.astype(int) - whole).mean() < 2 and said
        with pytest.raises(ImageError, match="damaged or cut short"):
            read(data[: len(data) // 3])

    def test_it_is_turned_upright_like_the_whole_one(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        data = file_of(SCENE, exif=exif)
        assert np.array_equal(read(data[:-2])[0], read_image(data))

    def test_bytes_behind_the_end_are_no_damage(self) -> None:
        data = file_of(SCENE)
        found, said = read(data + b"more" * 500)
        assert np.array_equal(found, read_image(data)) and not said

    def test_threads_do_not_change_what_others_read(self) -> None:
        """A whole, a cut and a halved file at the same time, and Pillow's global switch untouched."""
        data = file_of(SCENE)

        def outcome(part: bytes) -> str:
            try:
                return f"{len(read(part)[1])} warnings"
            except ImageError:
                return "refused"

        parts = [data, data[:-2], data[: len(data) // 2]] * 10
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(outcome, parts)) == ["0 warnings", "1 warnings", "refused"] * 10
        assert not ImageFile.LOAD_TRUNCATED_IMAGES

    def test_the_log_names_the_file(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "cut.jpg"
        path.write_bytes(file_of(SCENE)[:-2])
        with caplog.at_level(logging.WARNING):
            read_image(path)
        assert f"{path}: {WARNING}" in caplog.text


class TestOtherFormats:
    @pytest.mark.parametrize("file_format", ["PNG", "BMP", "PPM", "TGA", "TIFF"])
    def test_the_rows_that_are_there_are_read(self, file_format: str) -> None:
        data = file_of(SCENE, file_format)
        whole = read_image(data)
        found, said = read(data[: len(data) * 97 // 100])
        lost = (found != whole).any(axis=(1, 2))
        assert 0 < lost.mean() <= 0.1 and len(said) == 1
        with pytest.raises(ImageError, match="damaged or cut short"):
            read(data[: len(data) // 2])

    def test_a_png_without_its_last_chunk_is_whole(self) -> None:
        data = file_of(SCENE, "PNG")
        for lost in (1, 4, 12):
            assert np.array_equal(read(data[:-lost])[0], np.asarray(SCENE))

    def test_a_turned_tiff_is_right_or_refused(self) -> None:
        """Recent versions of Pillow cannot go on with a cut one that lies on its side."""
        exif = Image.Exif()
        exif[0x0112] = 6
        data = file_of(SCENE, "TIFF", exif=exif)
        for lost in (1, 100, len(data) // 2):
            try:
                found, _ = read(data[:-lost])
            except ImageError:
                continue
            assert (found == read_image(data)).mean() > 0.9

    @pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "TIFF", "WEBP"])
    def test_bytes_behind_the_end(self, file_format: str) -> None:
        data = file_of(SCENE, file_format)
        found, said = read(data + b"more" * 500)
        assert np.array_equal(found, read_image(data)) and not said
