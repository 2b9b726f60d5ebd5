"""Noise and colour: the ingredients of every surface and background."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from PIL import Image

from fbnetv3.arrays import Array

TILE = 512  # texels per side of a noise tile; the tile wraps around
GRITTY, PATCHY, CLOUDY = 0.4, 0.9, 1.6  # exponents of 1/f noise: the higher, the larger and softer its spots
NOISE_SEED = 20240131  # the tiles are the same for every scene, a scene picks windows out of them


@lru_cache
def _tile(roughness: float) -> Array:
    """Wrapping 1/f noise, (2 * TILE, 2 * TILE) float32 with mean 0 and deviation 1."""
    white = np.random.default_rng(NOISE_SEED).standard_normal((TILE, TILE))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(white) * frequency**-roughness, s=(TILE, TILE))
    return np.tile(noise / noise.std(), (2, 2)).astype(np.float32)


def noise(
    rng: np.random.Generator, shape: tuple[int, int], texels: tuple[float, float], roughness: float
) -> Array:
    """1/f noise (h, w) float32, about N(0, 1): `texels` (rows, columns; at most 512) stretched to `shape`."""
    rows, columns = (int(np.clip(count, 2, TILE)) for count in texels)
    top, left = (int(start) for start in rng.integers(0, TILE, 2))
    window = _tile(roughness)[top : top + rows, left : left + columns]
    resized = Image.fromarray(window).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def hsv(hue: float, saturation: float, value: float) -> Array:
    """An RGB colour (3,) float32 in 0..1; the hue wraps around at 1."""
    rgb = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return np.array(rgb, np.float32)


def any_colour(rng: np.random.Generator) -> Array:
    """A paint colour: any hue, pale to strong, dark to bright."""
    return hsv(rng.uniform(), rng.uniform(0.05, 0.9), rng.uniform(0.25, 0.95))


def plain(shape: tuple[int, ...], colour: Array) -> Array:
    """An (h, w, 3) float32 picture of one colour."""
    return np.broadcast_to(colour, (*shape, 3)).astype(np.float32)


def blend(picture: Array, colour: Array, amount: Array) -> None:
    """Mix `colour` ((3,) or (h, w, 3)) into `picture` in place, by `amount` (h, w) in 0..1."""
    picture += (colour - picture) * amount[..., None]


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth ramp between; `low` may be the larger one."""
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)
