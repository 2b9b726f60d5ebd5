"""Time and size of brush RLE beside the SDK's encoder, and the time to read it beside the SDK's decoder.

    python benchmarks/brush_rle.py [--repeats 9]

Both take turns in one process; the ratio is the median over the pairs. The SDK is given the mask at the size of
the image ready-made, and reads to an image; prelabel starts from the mask's box and reads to it. One mask each, at
the size named:

* object: an ellipse that covers a quarter of the image;
* small: an ellipse in a box of a tenth of the image's width and height;
* speckle: every pixel set with probability one half.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from rich.console import Console
from rich.table import Table

from fbnetv3.instances import BoxMask
from prelabel.labelstudio.shapes.brush_rle import mask_to_rle, rle_to_mask

VGA, FULL_HD, PHOTO = (480, 640), (1080, 1920), (3000, 4000)

QUARTER = (1 / (4 * np.pi)) ** 0.5
"""Half axes, as a share of the image's sides, of the ellipse that covers a quarter of it."""


def ellipse(size: tuple[int, int], share: float) -> np.ndarray:
    """A mask (height, width): an ellipse at the centre, its half axes this share of the sides."""
    height, width = size
    rows, columns = np.ogrid[:height, :width]
    return ((rows + 0.5) / height - 0.5) ** 2 + ((columns + 0.5) / width - 0.5) ** 2 < share**2


def masks() -> dict[str, np.ndarray]:
    """What is encoded."""
    result = {}
    for size in (VGA, FULL_HD, PHOTO):
        name = f"{size[1]} x {size[0]}"
        result[f"{name} object"] = ellipse(size, QUARTER)
        result[f"{name} small"] = ellipse(size, 0.05)
    result["1920 x 1080 speckle"] = np.random.default_rng(0).random(FULL_HD) < 0.5
    return result


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def compare(theirs: Callable[[], object], ours: Callable[[], object], repeats: int) -> list[str]:
    """Medians of the SDK's and prelabel's milliseconds and of their ratio."""
    pairs = [(milliseconds(theirs), milliseconds(ours)) for _ in range(repeats)]
    ratio = statistics.median(slow / fast for slow, fast in pairs)
    theirs_ms, ours_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    return [f"{theirs_ms:.2f}", f"{ours_ms:.2f}", f"{ratio:.0f}"]


def measure(mask: np.ndarray, repeats: int) -> list[str]:
    """Writing: times, and the bytes of both. Reading: times."""
    full, box = mask.astype(np.uint8) * 255, BoxMask.from_full(mask)
    written = mask_to_rle(box, mask.shape)
    sizes = [str(len(mask2rle(full))), str(len(written))]
    writing = compare(lambda: mask2rle(full), lambda: mask_to_rle(box, mask.shape), repeats)
    reading = compare(lambda: decode_rle(written), lambda: rle_to_mask(written, mask.shape), repeats)
    return [*writing, *sizes, *reading]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    columns = ("SDK, ms", "ms", "times as fast")
    table = Table("mask", *columns, "SDK, bytes", "bytes", *(f"reading: {column}" for column in columns))
    for name, mask in masks().items():
        table.add_row(name, *measure(mask, repeats))
    Console().print(table)


if __name__ == "__main__":
    main()
