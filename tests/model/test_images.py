"""Whatever kind of image comes in, upright 8-bit RGB comes out, or one sentence that says why not."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from fbnetv3.images import MAX_PIXELS, ImageError, network_size, read_image, to_network

ORIENTATION, CAMERA_MAKER = 0x0112, 0x010F
#: EXIF orientation -> what makes the stored picture upright (EXIF 2.3, table of tag 274).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def noise(height: int = 5, width: int = 7, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def file_of(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def oriented(image: Image.Image, orientation: int, file_format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return file_of(image, file_format, exif=exif, **options)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many grey pixels and holds none."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def refusal(source: Any, **options: Any) -> str:
    """What an ImageError says, after a check that it is one sentence for people."""
    with pytest.raises(ImageError) as caught:
        read_image(source, **options)
    text = str(caught.value)
    assert text and "\n" not in text and "Traceback" not in text and ". " not in text and len(text) < 200
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return text


class TestSources:
    """A path as text or object, bytes, a PIL image and an array give the same picture."""

    def test_all_sources_agree(self, tmp_path: Path) -> None:
        pixels = noise()
        image = Image.fromarray(pixels)
        path = tmp_path / "a photo.png"
        image.save(path)
        for source in (path, str(path), path.read_bytes(), image, pixels):
            found = read_image(source)
            assert found.dtype == np.uint8 and np.array_equal(found, pixels)

    def test_the_format_is_read_from_the_content_not_the_name(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.jpg"
        path.write_bytes(file_of(Image.fromarray(noise())))
        assert np.array_equal(read_image(path), noise())

    def test_a_pil_image_is_left_as_it_is(self) -> None:
        with Image.open(io.BytesIO(oriented(Image.fromarray(noise()), 6, "PNG"))) as image:
            read_image(image)[:] = 0
            assert image.size == (7, 5) and np.array_equal(np.asarray(image), noise())


class TestOrientation:
    @pytest.mark.parametrize("orientation", UPRIGHT)
    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_the_picture_is_turned_upright(self, orientation: int, file_format: str) -> None:
        found = read_image(oriented(Image.fromarray(noise()), orientation, file_format))
        assert np.array_equal(found, UPRIGHT[orientation](noise()))

    @pytest.mark.parametrize("orientation", UPRIGHT)
    def test_a_photo_as_pillow_turns_it(self, orientation: int) -> None:
        data = oriented(Image.fromarray(noise(24, 40)), orientation, "JPEG", quality=95)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(read_image(data), expected)

    def test_sixteen_bits_are_turned_too(self) -> None:
        grey = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257
        found = read_image(oriented(Image.fromarray(grey), 6, "PNG"))
        assert np.array_equal(found[:, :, 0], np.rot90(grey // 257, -1))

    def test_an_unknown_orientation_means_upright(self) -> None:
        assert np.array_equal(read_image(oriented(Image.fromarray(noise()), 9, "PNG")), noise())

    def test_nothing_is_said_of_damaged_metadata(self, tmp_path: Path) -> None:
        """Pillow's own lines name no file. In a process of its own: pytest has filters of its own."""
        exif = Image.Exif()
        exif[ORIENTATION], exif[CAMERA_MAKER] = 6, "prelabel"
        path = tmp_path / "photo.jpg"
        path.write_bytes(file_of(Image.fromarray(noise()), "JPEG", exif=exif.tobytes()[:-5]))
        code = f"from fbnetv3.images import read_image; print(read_image({str(path)!r}).shape)"
        said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert (said.stdout, said.stderr) == ("(5, 7, 3)\n", "")


def palette_image() -> Image.Image:
    """Two pixels: red, then green."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    return image


def pixel_row(mode: str, *pixels: Any) -> Image.Image:
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return image


RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)


class TestModes:
    """Every kind of pixel that files have."""

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            pytest.param(file_of(pixel_row("L", 0, 77)), [BLACK, (77, 77, 77)], id="grey"),
            pytest.param(
                file_of(pixel_row("LA", (100, 255), (100, 0), (0, 128))),
                [(100, 100, 100), WHITE, (127, 127, 127)],
                id="grey with alpha",
            ),
            pytest.param(
                file_of(pixel_row("RGBA", (1, 2, 3, 255), (1, 2, 3, 0), (255, 0, 0, 51))),
                [(1, 2, 3), WHITE, (255, 204, 204)],
                id="alpha",
            ),
            pytest.param(file_of(palette_image()), [RED, GREEN], id="palette"),
            pytest.param(
                file_of(palette_image(), transparency=1), [RED, WHITE], id="transparent palette entry"
            ),
            pytest.param(
                file_of(palette_image(), "GIF", transparency=0), [WHITE, GREEN], id="transparent GIF"
            ),
            pytest.param(
                file_of(pixel_row("RGB", RED, GREEN), transparency=GREEN),
                [RED, WHITE],
                id="transparent colour",
            ),
            pytest.param(
                file_of(pixel_row("L", 0, 9), transparency=0), [WHITE, (9, 9, 9)], id="transparent grey"
            ),
            pytest.param(
                file_of(pixel_row("CMYK", (0, 0, 0, 0), (0, 255, 255, 0), (9, 9, 9, 255)), "TIFF"),
                [WHITE, RED, BLACK],
                id="CMYK",
            ),
            pytest.param(file_of(pixel_row("1", 0, 255)), [BLACK, WHITE], id="one bit"),
            pytest.param(file_of(pixel_row("1", 0, 255), "TIFF"), [BLACK, WHITE], id="one bit TIFF"),
        ],
    )
    def test_becomes_rgb(self, data: bytes, expected: list[tuple[int, ...]]) -> None:
        found = read_image(data)
        assert found.shape == (1, len(expected), 3) and found.dtype == np.uint8
        assert np.abs(found[0].astype(int) - expected).max() <= 1

    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_sixteen_bit_grey_keeps_its_brightness(self, file_format: str) -> None:
        grey = np.array([[0, 256, 257, 32896, 65535]], np.uint16)
        found = read_image(file_of(Image.fromarray(grey), file_format))
        assert found[0].tolist() == [[level] * 3 for level in (0, 0, 1, 128, 255)]

    def test_sixteen_bit_grey_of_the_other_byte_order(self) -> None:
        image = Image.frombytes("I;16B", (2, 1), np.array([257, 65535], ">u2").tobytes())
        assert read_image(image)[0, :, 0].tolist() == [1, 255]

    def test_cmyk_photo(self) -> None:
        """Adobe's CMYK JPEG files store inverted values."""
        red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
        assert np.abs(read_image(file_of(red, "JPEG", quality=95)).astype(int) - RED).max() <= 4

    def test_the_first_picture_of_an_animation(self) -> None:
        frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "lime")]
        data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
        assert (read_image(data) == RED).all()


class TestArrays:
    GREY = np.array([[0, 77, 255]], np.uint8)

    @pytest.mark.parametrize(
        "array",
        [GREY, GREY[:, :, None], GREY.astype(np.uint16) * 257, np.stack([GREY] * 3, 2)],
        ids=["H W", "H W 1", "uint16", "H W 3"],
    )
    def test_grey_in_all_its_shapes(self, array: np.ndarray) -> None:
        found = read_image(array)
        assert found.dtype == np.uint8 and found.flags.c_contiguous
        assert found[0].tolist() == [[0] * 3, [77] * 3, [255] * 3]

    def test_bool(self) -> None:
        assert read_image(np.array([[False, True]]))[0].tolist() == [[0] * 3, [255] * 3]

    def test_alpha_is_laid_over_white(self) -> None:
        pixels = np.array([[[1, 2, 3, 255], [1, 2, 3, 0], [255, 0, 0, 51]]], np.uint8)
        assert read_image(pixels)[0].tolist() == [[1, 2, 3], [255, 255, 255], [255, 204, 204]]

    def test_sixteen_bit_alpha_as_eight_bit(self) -> None:
        pixels = noise(channels=4)
        assert np.array_equal(read_image(pixels.astype(np.uint16) * 257), read_image(pixels))

    def test_a_view_of_a_larger_array(self) -> None:
        large = noise(10, 14)
        assert np.array_equal(read_image(large[::2, ::-2]), large[::2, ::-2])

    @pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 5), (1, 2, 2, 3)])
    def test_a_wrong_shape_is_named(self, shape: tuple[int, ...]) -> None:
        assert str(shape) in refusal(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("dtype", [np.float32, np.int64])
    def test_a_wrong_type_is_named(self, dtype: type) -> None:
        assert np.dtype(dtype).name in refusal(np.zeros((2, 2, 3), dtype))

    @pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (0, 0)])
    def test_no_pixels(self, shape: tuple[int, ...]) -> None:
        assert "no pixels" in refusal(np.zeros(shape, np.uint8))


class TestErrors:
    """Every source that cannot be read is an ImageError, one sentence long."""

    @pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
    def test_a_file_cut_anywhere(self, file_format: str) -> None:
        """Headers, tables and pixels; the last fifth may be read, or not."""
        data = file_of(Image.fromarray(noise(20, 24)), file_format)
        for length in range(1, len(data) * 4 // 5, 5):
            refusal(data[:length])

    @pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
    def test_a_file_that_lost_its_second_half_is_called_damaged(self, file_format: str) -> None:
        data = file_of(Image.fromarray(noise(40, 50)), file_format)
        assert "damaged or cut short" in refusal(data[: len(data) // 2])

    def test_a_truncated_pil_image(self) -> None:
        data = file_of(Image.fromarray(noise(40, 50)))
        with Image.open(io.BytesIO(data[: len(data) // 2])) as image:
            assert "damaged or cut short" in refusal(image)

    def test_empty_bytes(self) -> None:
        assert "empty" in refusal(b"")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.jpg").touch()
        assert "empty" in refusal(tmp_path / "empty.jpg")

    def test_a_text_file(self, tmp_path: Path) -> None:
        (tmp_path / "notes.png").write_text("not an image\n" * 50)
        assert "not an image" in refusal(tmp_path / "notes.png")

    def test_a_file_without_pixels(self) -> None:
        refusal(png_header(0, 10))

    def test_a_pil_image_without_pixels(self) -> None:
        assert "no pixels" in refusal(Image.new("RGB", (0, 4)))

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "gone.jpg"
        assert refusal(path) == refusal(str(path)) == f"cannot read {path}: No such file or directory"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert str(tmp_path) in refusal(tmp_path)


class TestPixelLimit:
    @pytest.mark.parametrize(
        "source",
        [noise(10, 11), Image.fromarray(noise(10, 11)), file_of(Image.fromarray(noise(10, 11)))],
        ids=["array", "PIL image", "file"],
    )
    def test_the_limit_itself_is_allowed(self, source: Any) -> None:
        assert read_image(source, max_pixels=110).shape == (10, 11, 3)
        text = refusal(source, max_pixels=109)
        assert "110 pixels" in text and "109" in text

    def test_a_small_file_that_promises_many_pixels(self) -> None:
        assert f"{MAX_PIXELS:,}" in refusal(png_header(20_000, 10_000))

    def test_the_caller_may_allow_more_than_pillow_does(self) -> None:
        """Past the limit the file is read, and found to be cut short."""
        assert "damaged or cut short" in refusal(png_header(20_000, 9_000), max_pixels=200_000_000)


class TestNetworkSize:
    """Values of detectron2's ResizeShortestEdge.get_output_shape."""

    @pytest.mark.parametrize(
        ("size", "zoo", "default", "pyramid"),
        [
            ((480, 640), (224, 299), (320, 427), (800, 1067)),
            ((640, 480), (299, 224), (427, 320), (1067, 800)),
            ((333, 500), (213, 320), (320, 480), (800, 1201)),
            ((427, 640), (213, 320), (320, 480), (800, 1199)),
            ((640, 427), (320, 213), (480, 320), (1199, 800)),
            ((224, 224), (224, 224), (320, 320), (800, 800)),
            ((100, 50), (320, 160), (480, 240), (1333, 667)),
            ((3024, 4032), (224, 299), (320, 427), (800, 1067)),
        ],
    )
    def test_as_detectron2(self, size: Any, zoo: Any, default: Any, pyramid: Any) -> None:
        height, width = size
        assert network_size(height, width, 224, 320) == zoo
        assert network_size(height, width, 320, 480) == default
        assert network_size(height, width, 800, 1333) == pyramid

    def test_a_half_is_lost_to_floating_point_as_in_the_original(self) -> None:
        """427 * 320 / 640 is 213.5, which would round to 214; the original's two steps give a hair less."""
        assert int(427 * 320 / 640 + 0.5) == 214
        assert network_size(427, 640, 224, 320) == (213, 320)

    @pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
    def test_a_sliver_keeps_a_pixel(self, size: tuple[int, int]) -> None:
        assert sorted(network_size(*size, 224, 320)) == [1, 320]


class TestToNetwork:
    def test_blue_green_red_planes(self) -> None:
        pixels = noise()
        found = to_network(pixels, (5, 7))
        assert found.shape == (3, 5, 7) and found.dtype == np.float32 and found.flags.c_contiguous
        for plane, channel in enumerate((2, 1, 0)):
            assert np.array_equal(found[plane], pixels[:, :, channel])

    def test_the_size_is_height_and_width(self) -> None:
        halves = np.zeros((20, 40, 3), np.uint8)
        halves[:, 20:, 0] = 200
        found = to_network(halves, (10, 30))
        assert found.shape == (3, 10, 30)
        assert (found[2, :, :14] == 0).all() and (found[2, :, 16:] == 200).all() and not found[:2].any()

    def test_shrinking_averages_instead_of_skipping(self) -> None:
        """Antialiasing: a chequerboard of single pixels becomes grey."""
        board = np.indices((64, 64)).sum(0) % 2 * np.uint8(254)
        found = to_network(read_image(board.astype(np.uint8)), (16, 16))
        assert np.abs(found - 127).max() <= 8


def test_a_tiff_whose_offsets_are_floats_is_damaged():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "TIFF")
    content = bytearray(stream.getvalue())
    entry = content.index(struct.pack("<HHI", 273, 4, 1))  # StripOffsets, one LONG
    content[entry + 2 : entry + 4] = struct.pack("<H", 11)  # FLOAT
    with pytest.raises(ImageError, match="damaged"):
        read_image(bytes(content))
