"""Grey values of 32 bits, whole or floating, as 8 bits: no browser shows them, so the values tell their scale."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array

BYTE, SIXTEEN_BITS = 255, 65535
DARKEST_16_BIT = SIXTEEN_BITS // 4
"""Values above 255 that stay below this come from cameras of 10, 12 or 14 bits: on the 16-bit scale they are black."""


def to_byte(grey: Array) -> Array:
    """(H, W) int32 or float32 -> (H, W) uint8.

    Floats within 0..1 are multiplied by 255; values within 0..255 stay; those within 0..65535 whose highest is above
    a quarter of that are divided by 257, as 16-bit files are. All else (negative values, cameras of 12 bits) is
    stretched: the lowest becomes 0, the highest 255. NaN counts as the lowest value, infinities as the lowest and the
    highest. A constant picture that fits no scale is mid-grey.

    Raises ValueError where no value is a finite number.
    """
    finite = grey[np.isfinite(grey)]
    if not finite.size:
        raise ValueError("none of its values is a finite number")
    low, high = float(finite.min()), float(finite.max())
    black, white = _scale(low, high, fractions=grey.dtype.kind == "f")
    numbers = np.nan_to_num(grey.astype(np.float64), nan=low, posinf=high, neginf=low)
    return ((numbers - black) / (white - black) * BYTE + 0.5).astype(np.uint8)


def _scale(low: float, high: float, fractions: bool) -> tuple[float, float]:
    """The values that are shown black and white."""
    if fractions and low >= 0 and high <= 1:
        return 0, 1
    if low >= 0 and high <= BYTE:
        return 0, BYTE
    if low >= 0 and DARKEST_16_BIT < high <= SIXTEEN_BITS:
        return 0, SIXTEEN_BITS
    return (low, high) if low < high else (low - 1, high + 1)
