"""Brush RLE against the SDK: its decoder is the judge, its encoder the measure; and read back as the SDK reads it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.shapes import brush_rle
from prelabel.labelstudio.shapes.brush_rle import RleError, mask_to_rle, rle_to_mask

any_masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 40)))
one_row = arrays(bool, st.tuples(st.just(1), st.integers(1, 300)))


def sdk_rle(mask: np.ndarray) -> list[int]:
    return mask2rle(mask.astype(np.uint8) * 255)


def decoded(rle: list[int], size: tuple[int, int]) -> np.ndarray:
    """The mask (height, width) of an RLE, whose four channels must be equal, and 0 or 255."""
    values = decode_rle(rle).reshape(*size, 4)
    assert (values == values[..., :1]).all()
    assert set(np.unique(values)) <= {0, 255}
    return values[..., 0] == 255


def in_blocks(rle: list[int]) -> list[tuple[int, int]]:
    """(length, value) of every block of an RLE."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    missing, position = int(bits[:32], 2), 53
    blocks: list[tuple[int, int]] = []
    while missing > 0:
        assert bits[position] == "1"
        start = position + 3
        end = start + (3, 4, 8, 16)[int(bits[position + 1 : start], 2)]
        blocks.append((int(bits[start:end], 2) + 1, int(bits[end : end + 8], 2)))
        position = end + 8
        missing -= blocks[-1][0]
    assert missing == 0
    return blocks


def check(mask: np.ndarray, box: BoxMask | None = None) -> None:
    """A mask without runs of over 16,384 pixels has the SDK's bytes, but for one of padding at the end."""
    ours, theirs = mask_to_rle(box or BoxMask.from_full(mask), mask.shape), sdk_rle(mask)
    assert (decoded(ours, mask.shape) == mask).all()
    assert theirs in (ours, [*ours, 0])


@given(any_masks | one_row | one_row.map(np.transpose), st.integers(1, 9))
@example(np.zeros((1, 1), bool), 1)
@example(np.ones((1, 1), bool), 1)
@example(np.zeros((30, 40), bool), 1)
@example(np.ones((30, 40), bool), 1)
@example(np.indices((9, 12)).sum(0) % 2 > 0, 2)
def test_masks_are_encoded_as_by_the_sdk_in_chunks_of_any_size(mask: np.ndarray, chunk: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(brush_rle, "CHUNK", chunk)
        check(mask)


@given(any_masks, *[st.integers(0, 3)] * 4)
def test_only_the_pixels_matter_not_the_box_that_they_come_in(
    bitmap: np.ndarray, left: int, right: int, top: int, bottom: int
):
    mask = np.pad(bitmap, ((top, bottom), (left, right)))
    check(mask, BoxMask(left, top, bitmap))
    check(mask, BoxMask(0, 0, mask))


@pytest.mark.parametrize("rows", [slice(0, 4), slice(2, 5), slice(6, 9), slice(0, 9)])
@pytest.mark.parametrize("columns", [slice(0, 5), slice(3, 8), slice(7, 11), slice(0, 11)])
def test_solid_boxes_at_every_border(rows: slice, columns: slice):
    mask = np.zeros((9, 11), bool)
    mask[rows, columns] = True
    check(mask)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 16])
def test_stripes(axis: int, width: int):
    check(np.indices((32, 48))[axis] // width % 2 > 0)


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (5, 0)])
def test_an_empty_bitmap_is_background_everywhere(shape: tuple[int, int]):
    check(np.zeros((5, 7), bool), BoxMask(0, 0, np.zeros(shape, bool)))


@pytest.mark.parametrize(
    "view",
    [np.s_[::2, ::3], np.s_[:, ::-1], np.s_[::-1], np.s_[5:20, 3:]],
    ids=["steps", "left", "up", "part"],
)
@pytest.mark.parametrize("padding", [0, 4])
def test_a_bitmap_may_be_a_view(view: slice | tuple[slice, ...], padding: int):
    bitmap = (np.random.default_rng(0).random((24, 30)) < 0.4)[view]
    check(np.pad(bitmap, padding), BoxMask(padding, padding, bitmap))
    check(np.pad(bitmap, padding).T, BoxMask(padding, padding, bitmap.T))


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384])
@pytest.mark.parametrize("before", [0, 1])
def test_runs_at_the_limits_of_the_block_sizes(pixels: int, before: int):
    """8, 16, 256 and 65,536 values are the longest runs of the four sizes: 2, 4, 64 and 16,384 pixels."""
    mask = np.zeros((1, pixels + 2), bool)
    mask[0, before : before + pixels] = True
    check(mask)


@pytest.mark.parametrize("more", [-1, 0, 1, 2, 4, 5, 64, 65])
@pytest.mark.parametrize("times", [1, 3])
def test_a_long_run_is_split_and_its_rest_takes_the_smallest_size(times: int, more: int):
    width = 128
    pixels = times * 16384 + more
    mask = np.zeros((-(-pixels // width) + 1, width), bool)
    mask.ravel()[:pixels] = True
    rest = mask.size - pixels
    ours, theirs = mask_to_rle(BoxMask.from_full(mask), mask.shape), sdk_rle(mask)

    full_blocks, last = divmod(4 * pixels, 65536)
    assert in_blocks(ours) == [(65536, 255)] * full_blocks + [(last, 255)] * (last > 0) + [(4 * rest, 0)]
    assert (decoded(ours, mask.shape) == mask).all()
    assert len(ours) <= len(theirs)


def test_a_photo_with_an_object_and_one_with_speckle():
    """640 x 480, with runs of several blocks and more runs than one chunk has."""
    rows, columns = np.ogrid[:480, :640]
    disc = (rows - 240) ** 2 + (columns - 320) ** 2 < 150**2
    speckle = np.random.default_rng(0).random((480, 640)) < 0.5
    for mask in (disc, speckle):
        ours, theirs = mask_to_rle(BoxMask.from_full(mask), mask.shape), sdk_rle(mask)
        assert len(ours) <= len(theirs)
        assert (decoded(ours, mask.shape) == mask).all()
    assert len(np.flatnonzero(np.diff(speckle.ravel()))) > brush_rle.CHUNK


def test_an_empty_mask_of_the_largest_photo():
    """100 megapixels are 6103 full blocks and a part of one, of 27 bits each."""
    rle = mask_to_rle(BoxMask(0, 0, np.zeros((0, 0), bool)), (10_000, 10_000))

    assert in_blocks(rle) == [(65536, 0)] * 6103 + [(4 * 10**8 - 6103 * 65536, 0)]
    assert len(rle) == -(-(53 + 6104 * 27) // 8)


@given(any_masks | one_row)
def test_what_was_encoded_comes_back(mask: np.ndarray):
    for rle in (mask_to_rle(BoxMask.from_full(mask), mask.shape), sdk_rle(mask)):
        read = rle_to_mask(rle, mask.shape)
        assert np.array_equal(read.full(mask.shape), mask)
        assert read.bitmap.shape == BoxMask.from_full(mask).bitmap.shape


images = arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 20), st.just(4)))


@given(images | images.map(lambda image: image.repeat(9, axis=1)))
def test_coloured_brushes_with_smooth_edges_are_read_by_their_alpha(image: np.ndarray):
    """What the editor writes: values that do not repeat come in blocks of their own."""
    rle = encode_rle(image.ravel())
    alpha = decode_rle(rle).reshape(image.shape)[..., 3]
    assert np.array_equal(alpha, image[..., 3])
    assert np.array_equal(rle_to_mask(rle, image.shape[:2]).full(image.shape[:2]), alpha >= 128)


def test_other_sizes_of_lengths_are_read_as_the_header_says():
    """Four values of 0, eight of 255, with lengths of 5 bits: 53 bits of header, two blocks."""
    fields = [
        (12, 32),
        (7, 5),
        (4, 4),
        (4, 4),
        (4, 4),
        (4, 4),
        (4, 3),
        (3, 5),
        (0, 8),
        (6, 3),
        (7, 5),
        (255, 8),
    ]
    bits = "".join(f"{number:0{width}b}" for number, width in fields).ljust(88, "0")
    rle = list(int(bits, 2).to_bytes(11))
    assert rle_to_mask(rle, (1, 3)).full((1, 3)).tolist() == [[False, True, True]]


def test_a_photo_is_read_back():
    speckle = np.random.default_rng(0).random((480, 640)) < 0.5
    assert np.array_equal(
        rle_to_mask(mask_to_rle(BoxMask.from_full(speckle), (480, 640)), (480, 640)).full((480, 640)), speckle
    )


CHECKERS = np.indices((9, 12)).sum(0) % 2 > 0
WHOLE = mask_to_rle(BoxMask.from_full(CHECKERS), CHECKERS.shape)


@pytest.mark.parametrize(
    ("rle", "says"),
    [
        ([], "cut short"),
        ([1, 2, 3], "cut short"),
        (WHOLE[:-20], "cut short"),
        ([*WHOLE[:4], 0, *WHOLE[5:]], "values of 1 bits"),
        ([256], "bytes"),
        (["a"], "bytes"),
        (None, "bytes"),
        (2**40, "bytes"),
        (mask_to_rle(BoxMask.from_full(CHECKERS.T), (12, 10)), "120 pixels, its image 108"),
    ],
)
def test_what_is_no_mask_of_the_image(rle: list[int], says: str):
    with pytest.raises(RleError, match=says):
        rle_to_mask(rle, CHECKERS.shape)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_mask_or_an_error(content: bytes):
    header = (4 * 15).to_bytes(4) + bytes([0b00111_001, 0b00011_011, 0b11111_000])
    try:
        assert rle_to_mask(list(header + content), (3, 5)).bitmap.size <= 15
    except RleError as error:
        assert "\n" not in str(error)
