"""Shapes as regions hold them: what is written is read back as the same pixels, and what is damaged is named."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from fbnetv3.instances import BoxMask, Instances
from prelabel.labelstudio.shapes import SHAPE_OF_TAG, SHAPES, RegionError, bitmask, ellipse
from prelabel.labelstudio.shapes.geometry import Drawn

SIZE = (60, 80)
CIRCLE = {"x": 50, "y": 50, "radiusX": 12.5, "radiusY": 100 / 6, "rotation": 0}
"""Ten pixels in every direction."""

SMALLEST = 6.0
"""Half an axis in pixels: of a smaller ellipse a few pixels on its edge are more than a twentieth."""


def one(mask: np.ndarray | None, box: list[float] | None = None) -> Instances:
    masks = None if mask is None else (BoxMask.from_full(mask),)
    size = SIZE if mask is None else mask.shape[:2]
    boxes = np.array([box or [0, 0, 1, 1]], np.float32)
    return Instances(size, boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("a",), masks)


def full(drawn: Drawn, size: tuple[int, int] = SIZE) -> np.ndarray:
    assert drawn[1] is not None
    return drawn[1].full(size)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_every_tag_has_one_shape_that_knows_its_type() -> None:
    assert len(SHAPE_OF_TAG) == sum(len(shape.types) for shape in SHAPES)
    assert [shape.masks for shape in SHAPES] == ["needed", "needed", "needed", "used", "unused"]
    assert SHAPE_OF_TAG["magicwand"] is SHAPE_OF_TAG["brushlabels"]


def test_a_new_shape_is_a_row_in_the_table() -> None:
    """It is predicted, read back, counted, offered smart tools and named, without another list of tags."""
    script = Path(__file__).with_name("with_a_new_shape.py")
    seen = json.loads(subprocess.check_output([sys.executable, script], text=True))
    for name, types in {"labelled": ["vectorlabels"], "pair": ["vector", "labels"]}.items():
        found = seen[name]
        assert (found["notes"], found["left out"]) == ([], [])
        assert found["types"] == types
        assert found["read back"] == [["Disc", [8, 6, 40, 30]]]
        assert found["edits"] == {"box": 1}
        assert found["tools"] == 2, "a box and a click"
    assert seen["labelled"]["labels"] == [["Disc"]]
    assert seen["filled"].endswith(
        "EllipseLabels, PolygonLabels, BrushLabels, BitmaskLabels, VectorLabels or Choices"
    )
    assert "or use VectorLabels" in seen["alone"][0]


# Ellipses


def test_an_upright_ellipse_is_its_box_and_the_pixels_inside() -> None:
    box, mask = ellipse.read(CIRCLE, SIZE)
    assert box == pytest.approx((30, 20, 50, 40)) and mask is not None
    rows, columns = np.ogrid[:60, :80]
    circle = (columns + 0.5 - 40) ** 2 + (rows + 0.5 - 30) ** 2 <= 100
    assert np.array_equal(full((box, mask)), circle)


@pytest.mark.parametrize("angle", [0, 30, 90, 135, 360, -45])
def test_an_ellipse_turns_clockwise_about_its_centre_in_pixels(angle: float) -> None:
    """Half axes of 20 and 5 pixels, in an image that is not square."""
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 12, "rotation": angle}
    drawn = ellipse.read(value, SIZE)
    mask, turn = full(drawn), math.radians(angle)
    for along, across, inside in ((18, 0, True), (22, 0, False), (0, 4, True), (0, 6, False)):
        x = 40 + along * math.cos(turn) - across * math.sin(turn)
        y = 30 + along * math.sin(turn) + across * math.cos(turn)
        assert mask[int(y), int(x)] == inside
    half = (
        math.hypot(20 * math.cos(turn), 5 * math.sin(turn)),
        math.hypot(20 * math.sin(turn), 5 * math.cos(turn)),
    )
    assert drawn[0] == pytest.approx((40 - half[0], 30 - half[1], 40 + half[0], 30 + half[1]))


@st.composite
def ellipses(draw: st.DrawFn) -> tuple[tuple[int, int], ellipse.Ellipse]:
    """An image and an ellipse in it, wholly inside, with half axes of SMALLEST pixels and more."""
    height, width = draw(st.integers(30, 300)), draw(st.integers(30, 300))
    angle, share = draw(st.floats(0, math.pi)), draw(st.floats(0.05, 1))
    first = draw(st.floats(SMALLEST, min(height, width) / 2 - 1))
    found = ellipse.Ellipse(0, 0, first, max(SMALLEST, share * first), angle)
    right, down = found.box[1]
    x, y = draw(st.floats(right, width - right)), draw(st.floats(down, height - down))
    return (height, width), ellipse.Ellipse(x, y, found.first, found.second, angle)


@given(ellipses())
@settings(max_examples=200)
def test_an_ellipse_that_is_learnt_and_predicted_is_the_same_one(
    drawn: tuple[tuple[int, int], ellipse.Ellipse],
) -> None:
    size, shape = drawn
    mask = shape.fill(0, 0, size)
    [value] = ellipse.write(one(mask), 0, 0.01)
    assert iou(full(ellipse.read(value, size), size), mask) > 0.95
    assert value["x"] <= 100 and value["y"] <= 100 and max(value["radiusX"], value["radiusY"]) <= 50


@given(arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
@settings(max_examples=100)
def test_any_mask_becomes_an_ellipse_that_can_be_read(mask: np.ndarray) -> None:
    assume(mask.any())
    [value] = ellipse.write(one(mask), 0, 0.01)
    box, _ = ellipse.read(value, mask.shape)
    assert box[0] < box[2] and box[1] < box[3]
    assert max(value["radiusX"], value["radiusY"]) <= 50 and 0 <= value["rotation"] < 180


@pytest.mark.parametrize(("x", "y", "angle"), [(0, 30, 20), (78, 58, 70), (40, -3, 0), (5, 5, 45)])
def test_an_ellipse_that_the_edge_of_the_image_cuts_is_found_whole(x: float, y: float, angle: float) -> None:
    mask = ellipse.Ellipse(x, y, 20, 11, math.radians(angle)).fill(0, 0, SIZE)
    [value] = ellipse.write(one(mask), 0, 0.01)
    assert iou(full(ellipse.read(value, SIZE)), mask) > 0.93


def test_a_diagonal_that_is_longer_than_label_studio_takes_is_cut() -> None:
    mask = ellipse.Ellipse(50, 50, 70, 3, math.radians(45)).fill(0, 0, (100, 100))
    [value] = ellipse.write(one(mask), 0, 0.01)
    assert max(value["radiusX"], value["radiusY"]) <= 50
    assert iou(full(ellipse.read(value, (100, 100)), (100, 100)), mask) > 0.6


@pytest.mark.parametrize("mask", [None, np.zeros(SIZE, bool)])
def test_without_a_mask_the_ellipse_fills_the_box(mask: np.ndarray | None) -> None:
    [value] = ellipse.write(one(mask, [30, 20, 50, 40]), 0, 0.01)
    assert value == {**CIRCLE, "radiusY": 16.6667}
    assert list(ellipse.write(one(mask, [90, 20, 99, 40]), 0, 0.01)) == []
    assert list(ellipse.write(one(mask, [float("nan")] * 4), 0, 0.01)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"radiusX": 0}, "no area"),
        ({"x": 200}, "no area in the image"),
        ({"y": float("nan")}, "not a number"),
        ({"radiusY": float("inf")}, "not a number"),
    ],
)
def test_an_ellipse_of_nothing_is_named(change: dict[str, float], says: str) -> None:
    with pytest.raises(RegionError, match=says):
        ellipse.read(CIRCLE | change, SIZE)


def test_an_ellipse_that_was_turned_inside_out_is_the_same_one() -> None:
    assert ellipse.read(CIRCLE | {"radiusX": -12.5}, SIZE)[0] == ellipse.read(CIRCLE, SIZE)[0]


# Bitmasks


def data_url(picture: Image.Image | bytes, **options: Any) -> str:
    if isinstance(picture, Image.Image):
        stream = io.BytesIO()
        picture.save(stream, "PNG", **options)
        picture = stream.getvalue()
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def alpha_of(mask: np.ndarray, opaque: int = 255) -> np.ndarray:
    """As the editor's canvas writes it: black, four channels."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[..., 3] = mask * np.uint8(opaque)
    return pixels


def read_bitmask(url: object, size: tuple[int, int] = SIZE) -> np.ndarray:
    return full(bitmask.read({"imageDataURL": url}, size), size)


DISC = ellipse.Ellipse(40, 30, 20, 10, 0.5).fill(0, 0, SIZE)


@given(arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))))
@settings(max_examples=100)
def test_a_bitmask_comes_back_bit_for_bit(mask: np.ndarray) -> None:
    assume(mask.any())
    [value] = bitmask.write(one(mask), 0, 0.01)
    assert np.array_equal(read_bitmask(value["imageDataURL"], mask.shape), mask)


def test_a_bitmask_is_black_on_transparent_for_any_decoder() -> None:
    [value] = bitmask.write(one(DISC), 0, 0.01)
    png = base64.b64decode(value["imageDataURL"].removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
    assert np.array_equal(pixels, alpha_of(DISC))


def test_an_empty_mask_is_no_bitmask() -> None:
    assert list(bitmask.write(one(np.zeros(SIZE, bool)), 0, 0.01)) == []
    assert list(bitmask.write(one(None), 0, 0.01)) == []


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_the_alpha_alone_is_the_mask(mode: str) -> None:
    pixels = alpha_of(DISC)
    pixels[..., :3] = np.random.default_rng(1).integers(0, 255, (*SIZE, 3))
    assert np.array_equal(read_bitmask(data_url(Image.fromarray(pixels).convert(mode))), DISC)
    assert np.array_equal(
        read_bitmask(data_url(Image.fromarray(pixels).convert(mode)).replace(",", ",\n ")), DISC
    )


def test_smoothed_edges_count_from_one_half_on() -> None:
    for opaque, seen in ((128, True), (127, False)):
        url = data_url(Image.fromarray(alpha_of(DISC, opaque)))
        if seen:
            assert np.array_equal(read_bitmask(url), DISC)
        else:
            with pytest.raises(RegionError, match="no area"):
                read_bitmask(url)


@pytest.mark.parametrize("scale", [0.5, 2])
def test_a_picture_of_another_size_is_stretched_as_the_editor_does(scale: float) -> None:
    size = round(SIZE[1] * scale), round(SIZE[0] * scale)
    canvas = Image.new("RGBA", size)
    ImageDraw.Draw(canvas).rectangle((0, 0, size[0] // 2 - 1, size[1] // 2 - 1), fill="black")
    expected = np.zeros(SIZE, bool)
    expected[:30, :40] = True
    assert iou(read_bitmask(data_url(canvas)), expected) > 0.95


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is this large."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


WHOLE = data_url(Image.fromarray(alpha_of(DISC)))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "no PNG in a data: URL"),
        ("", "no PNG in a data: URL"),
        (5, "no PNG in a data: URL"),
        ("http://host/mask.png", "no PNG in a data: URL"),
        (WHOLE.replace("image/png", "image/jpeg"), "no PNG in a data: URL"),
        (WHOLE.replace(";base64", ""), "no PNG in a data: URL"),
        ("data:image/png;base64,%%%", "not Base64"),
        ("data:image/png;base64,", "damaged"),
        (WHOLE[: len(WHOLE) // 2 // 4 * 4], "damaged|Base64"),
        (data_url(b"GIF89a no png at all"), "damaged"),
        (data_url(Image.new("RGBA", (80, 60))), "no area"),
        (data_url(Image.new("RGB", (80, 60))), "no transparency"),
        (data_url(Image.new("1", (80, 60), 1)), "no transparency"),
        (
            data_url(Image.new("RGBA", (800, 600), "black")),
            "800 x 600 pixels is far larger than the image of 80 x 60",
        ),
        (data_url(bomb(2**31 - 1, 2**31 - 1)), "far larger"),
        (data_url(bomb(100_000, 100_000)), "far larger"),
        (data_url(bomb(80, 60)), "damaged"),
        (data_url(bomb(0, 60)), "damaged"),
    ],
)
def test_what_is_no_bitmask_is_named(url: object, says: str) -> None:
    with pytest.raises(RegionError, match=says) as caught:
        read_bitmask(url)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_the_ellipse_of_a_few_scattered_pixels_is_the_same_each_time() -> None:
    scattered = ["#.#..", ".....", "...##", "..#.#"]
    mask = BoxMask(24, 14, np.array([[pixel == "#" for pixel in row] for row in scattered]))
    fitted = [ellipse.fitted(mask, SIZE) for _ in range(5)]
    assert all(one == fitted[0] for one in fitted)
