"""Masks as Label Studio's brush RLE, and back. They are written from the mask's box, never at full size.

The format is that of thi.ng/rle-pack, which Label Studio's editor reads and writes. The image is RGBA, row by
row, and each of its numbers is a value of 8 bits; a pixel of a mask is four equal ones. A stream of bits, most
significant first, holds:

* 32 bits: how many values follow; 5 bits: bits of a value, minus one; four times 4 bits: the sizes that the
  length of a run may have, in bits, minus one;
* blocks until all values are there: one bit, two bits (which of the four sizes), a length minus one in that many
  bits; then, if the bit was 1 (a run), the value that comes so often, otherwise so many values;
* zeros up to a whole byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask
from prelabel.errors import PrelabelError

CHANNELS = 4

SET = 255
"""Every channel of a set pixel: Label Studio takes the alpha for the mask, where 1 is invisible."""

VALUE_BITS = 8

LENGTH_BITS = np.array([3, 4, 8, 16], np.int64)
"""The sizes of lengths, which the header declares: those that the editor and the SDK write."""

RUN = 4
"""The bit that starts a run, in front of the two bits of its size."""

RUN_BITS = 3

LONGEST = 1 << 16
"""Values in one block, at most: what the largest size can count. A longer run takes several blocks."""

HEADER_BITS = 32 + 5 + 4 * 4

HALF = 128
"""The lowest alpha of a set pixel: the editor's brush smooths its edges."""

CHUNK = 1 << 16
"""Runs encoded at a time: a few megabytes, where a speckled 12-megapixel mask has six million runs."""


class RleError(PrelabelError):
    """An RLE that holds no mask of its image; the message is one sentence."""


def mask_to_rle(mask: BoxMask, image_size: tuple[int, int]) -> list[int]:
    """The RLE of a mask at the size of its image (height, width): bytes, 0..255.

    The same mask has the same RLE, however much empty room its box has. The image has fewer than 2**30 pixels.
    """
    lengths, values = _runs(mask, image_size)
    stream = _BitStream()
    header = [int(lengths.sum()), VALUE_BITS - 1, *(LENGTH_BITS - 1)]
    stream.write(np.array(header, np.int64), np.array([32, 5, 4, 4, 4, 4], np.int64))
    for start in range(0, len(lengths), CHUNK):
        part = slice(start, start + CHUNK)
        stream.write(*_blocks(*_split(lengths[part], values[part])))
    return list(stream.data)


def _runs(mask: BoxMask, image_size: tuple[int, int]) -> tuple[Array, Array]:
    """Lengths (n,) int64 of the runs of equal values in the image, and their values (n,) uint8.

    A frame of background after each row of the box makes every run end in its row, except where the box is as
    wide as the image: then a run goes on in the next row, and the box is taken for one long row.
    """
    height, width = image_size
    bitmap = mask.bitmap.reshape(1, -1) if mask.bitmap.shape[1] == width else mask.bitmap
    rows, columns = bitmap.shape
    framed = np.zeros(1 + rows * (columns + 1), bool)
    framed[1:].reshape(rows, columns + 1)[:, :columns] = bitmap
    edges = np.flatnonzero(framed[1:] != framed[:-1])
    edges += edges // (columns + 1) * (width - columns - 1) + mask.y * width + mask.x
    lengths = CHANNELS * np.diff(edges, prepend=0, append=height * width)
    values = np.zeros(len(lengths), np.uint8)
    values[1::2] = SET
    exists = lengths > 0  # the background before a mask that starts, and after one that ends, with the image
    return lengths[exists], values[exists]


def _split(lengths: Array, values: Array) -> tuple[Array, Array]:
    """The runs with none longer than LONGEST: what is left over comes last."""
    blocks = (lengths - 1) // LONGEST + 1
    split = np.full(blocks.sum(), LONGEST, np.int64)
    split[np.cumsum(blocks) - 1] = (lengths - 1) % LONGEST + 1
    return split, np.repeat(values, blocks)


def _blocks(lengths: Array, values: Array) -> tuple[Array, Array]:
    """The block of every run, in the smallest size that holds its length, as a number, and its bits."""
    size = np.searchsorted(1 << LENGTH_BITS, lengths)
    length_bits = LENGTH_BITS[size]
    blocks = ((RUN + size) << length_bits | (lengths - 1)) << VALUE_BITS | values
    return blocks, RUN_BITS + length_bits + VALUE_BITS


def rle_to_mask(rle: Sequence[int], image_size: tuple[int, int]) -> BoxMask:
    """The mask that an RLE holds for an image of this size (height, width): the pixels that are at least HALF set.

    Raises RleError for what is no RLE, or one of an image with another number of pixels.
    """
    height, width = image_size
    bits = _Bits(rle)
    values, value_bits, *sizes = bits.header()
    if values != CHANNELS * height * width:
        raise RleError(f"the mask has {values / CHANNELS:g} pixels, its image {height * width}")
    if value_bits != VALUE_BITS:
        raise RleError(f"the mask has values of {value_bits} bits instead of {VALUE_BITS}")
    ends, alphas = bits.runs(np.array(sizes))
    if not len(ends) or ends[-1] < values:
        raise RleError("the mask is cut short")
    # Pixel k is set by the run in which its alpha lies, value 4 k + 3.
    pixels = np.diff(np.minimum(ends, values) // CHANNELS, prepend=0)
    return BoxMask.from_full(np.repeat(alphas >= HALF, pixels).reshape(height, width))


class _Bits:
    """The bytes of an RLE as a stream of bits; `_words` holds 32 bits from the beginning of every byte on."""

    def __init__(self, rle: Sequence[int]) -> None:
        try:
            data = np.frombuffer(bytes(iter(rle)), np.uint8)  # bytes of a number would be so many zeros
        except (TypeError, ValueError):
            raise RleError("the mask is not a list of bytes") from None
        self._count = 8 * len(data)
        if self._count < HEADER_BITS:
            raise RleError("the mask is cut short")
        padded = np.concatenate([data, np.zeros(4, np.uint8)]).astype(np.int64)
        self._words = padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]

    def header(self) -> list[int]:
        """Number of values; bits of a value; the four sizes of lengths in bits."""
        places = np.array([0, 16, 32, 37, 41, 45, 49])
        high, low, *rest = self._read(places, np.array([16, 16, 5, 4, 4, 4, 4])).tolist()
        return [high << 16 | low, *(size + 1 for size in rest)]

    def runs(self, sizes: Array) -> tuple[Array, Array]:
        """Where each run of equal values ends (n,), counted in values, and its value (n,).

        `sizes` (4,): what the header says. Zeros that fill the last bytes come out as runs behind the last value.
        """
        starts = np.array(self._block_starts(sizes.tolist()), np.int64)
        code = self._read(starts, np.full_like(starts, RUN_BITS))
        length_bits = sizes[code % len(sizes)]
        lengths = self._read(starts + RUN_BITS, length_bits) + 1
        is_run = code >= RUN
        count = np.where(is_run, 1, lengths)
        first = np.repeat(starts + RUN_BITS + length_bits, count)
        number = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        place = np.minimum(first + VALUE_BITS * number, self._count)
        values = self._read(place, np.full_like(place, VALUE_BITS))
        return np.cumsum(np.repeat(np.where(is_run, lengths, 1), count)), values

    def _block_starts(self, sizes: list[int]) -> list[int]:
        """The bit at which each block starts; what is shorter than any block ends the stream."""
        words, starts = self._words.tolist(), []
        run_bits = [RUN_BITS + size + VALUE_BITS for size in sizes]
        position, end = HEADER_BITS, self._count - min(run_bits)
        while position <= end:
            starts.append(position)
            ahead = words[position >> 3] >> (32 - RUN_BITS - (position & 7))
            size = ahead & 3
            if ahead & RUN:
                position += run_bits[size]
            else:
                shift = 32 - RUN_BITS - (position & 7) - sizes[size]
                repeats = words[position >> 3] >> shift & ((1 << sizes[size]) - 1)
                position += run_bits[size] + VALUE_BITS * repeats
        if position > self._count:
            raise RleError("the mask is cut short")
        return starts

    def _read(self, positions: Array, bits: Array) -> Array:
        """The numbers (n,) of at most 16 bits each that start at these bits."""
        numbers: Array = self._words[positions >> 3] >> (32 - (positions & 7) - bits) & ((1 << bits) - 1)
        return numbers


class _BitStream:
    """Numbers written one after another, most significant bit first; `data` is padded with zeros."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._used = 0  # bits of the last byte, 0 when all are

    def write(self, numbers: Array, bits: Array) -> None:
        """Append numbers (n,) int64, each in as many of `bits` (n,) int64, 1 to 32; n > 0.

        Every number is put in its place in two words of 32 bits. As none is longer than a word, one starts in
        every word, and all that start in the same are joined by one `reduceat`.
        """
        ends = self._used + np.cumsum(bits)
        starts = ends - bits
        word, offset = starts // 32, starts % 32
        placed = numbers.astype(np.uint64) << (64 - offset - bits).astype(np.uint64)
        first = np.flatnonzero(np.diff(word, prepend=-1))
        pairs = np.bitwise_or.reduceat(placed, first).astype(">u8").view(">u4").reshape(-1, 2)
        words = np.zeros(len(pairs) + 1, ">u4")
        words[:-1] = pairs[:, 0]
        words[1:] |= pairs[:, 1]
        self._append(words.tobytes(), int(ends[-1]))

    def _append(self, packed: bytes, bits: int) -> None:
        """Append so many bits of `packed`, which begin in the last byte where that has room."""
        fresh = bytearray(packed[: -(-bits // 8)])
        if self._used:
            fresh[0] |= self.data.pop()
        self.data += fresh
        self._used = bits % 8
