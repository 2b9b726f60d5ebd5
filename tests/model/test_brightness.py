"""Grey values of 32 bits, and the scale they are shown on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fbnetv3.brightness import to_byte
from fbnetv3.images import ImageError, read_image
from fbnetv3.scenes import generate_scene

GREY = np.asarray(Image.fromarray(generate_scene(5_000_001, (128, 160)).image).convert("L"))
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.0, 0.5, 1.0], [0, 128, 255], id="0..1"),
        pytest.param([0.0, 0.2], [0, 51], id="0..1, dark"),
        pytest.param([0.0, 77.4, 255.0], [0, 77, 255], id="0..255"),
        pytest.param([0.0, 257.0, 65535.0], [0, 1, 255], id="0..65535"),
        pytest.param([0.0, 2047.5, 4095.0], [0, 128, 255], id="camera of 12 bits"),
        pytest.param([-1.0, 0.0, 1.0], [0, 128, 255], id="negative"),
        pytest.param([0.0, 1e30], [0, 255], id="huge"),
        pytest.param([NAN, 0.5, 1.0], [128, 128, 255], id="NaN is the lowest"),
        pytest.param([-INFINITE, 0.0, 1.0, INFINITE], [0, 0, 255, 255], id="infinite"),
        pytest.param([0.0, 0.0], [0, 0], id="black"),
        pytest.param([-5.0, -5.0], [128, 128], id="constant"),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    assert to_byte(np.array([values], np.float32))[0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0, 1, 255], [0, 1, 255], id="0..255"),
        pytest.param([0, 257, 65535], [0, 1, 255], id="0..65535"),
        pytest.param([0, 4095], [0, 255], id="camera of 12 bits"),
        pytest.param([-1000, 0, 1000], [0, 128, 255], id="negative"),
        pytest.param([-(2**31), 2**31 - 1], [0, 255], id="all of 32 bits"),
    ],
)
def test_whole_numbers(values: list[int], expected: list[int]) -> None:
    assert to_byte(np.array([values], np.int32))[0].tolist() == expected


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "TIFF", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        GREY.astype(np.float32),
        (GREY / 255).astype(np.float32),
        (GREY * 257.0).astype(np.float32),
        GREY.astype(np.int32),
        GREY.astype(np.int32) * 257,
        GREY.astype(np.uint16) * 257,
    ],
    ids=["float 0..255", "float 0..1", "float 0..65535", "int32", "int32 0..65535", "uint16"],
)
def test_a_tiff_looks_like_its_8_bit_picture(array: np.ndarray) -> None:
    found = read_image(tiff(array))
    assert np.array_equal(found, np.repeat(GREY[:, :, None], 3, axis=2))


def test_no_number_at_all_is_refused() -> None:
    with pytest.raises(ImageError, match="none of its values is a finite number"):
        read_image(tiff(np.full((4, 4), NAN, np.float32)))
