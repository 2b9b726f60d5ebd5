"""Small things that lie about and are no class: the detector has to learn to leave them alone."""

from __future__ import annotations

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.scenes.objects import ObjectClass, Surface
from fbnetv3.scenes.texture import CLOUDY, PATCHY, any_colour, blend, hsv, noise, plain, smoothstep


def draw_pebble(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A grey or brown stone of uneven outline."""
    angle = np.arctan2(u, v)
    bumps = 0.1 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle + rng.uniform(0, 6))
    rho = np.hypot(u, 1.3 * v) / (0.8 * (1 + bumps))
    colour = plain(u.shape, hsv(rng.uniform(0.05, 0.15), rng.uniform(0.0, 0.25), rng.uniform(0.3, 0.8)))
    colour *= 1 + 0.12 * noise(rng, u.shape, (60, 60), PATCHY)[..., None]
    return Surface(rho - 1, colour, 0.5 * np.sqrt(np.maximum(1 - rho**2, 0)), 0.1)


def draw_coin(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A round of metal with a raised edge and a worn relief."""
    radius = np.hypot(u, v) / 0.9
    colour = plain(u.shape, hsv(rng.uniform(0.07, 0.14), rng.uniform(0.05, 0.5), rng.uniform(0.55, 0.8)))
    relief = 0.02 * noise(rng, u.shape, (14, 14), PATCHY) * smoothstep(0.75, 0.6, radius)
    return Surface(
        radius - 1, colour, 0.06 * smoothstep(1.0, 0.9, radius) - 0.05 * (radius < 0.8) + relief, 0.7
    )


def draw_pencil(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A painted stick with a wooden point and a dark lead."""
    half = 0.06 * np.clip((v + 1) / 0.22, 0, 1)
    colour = plain(u.shape, any_colour(rng))
    colour *= np.where(np.abs(u) < 0.02, 1.15, 0.9).astype(np.float32)[..., None]
    blend(colour, hsv(0.09, 0.4, 0.85), smoothstep(-0.77, -0.79, v))
    blend(colour, hsv(0.0, 0.0, 0.15), smoothstep(-0.91, -0.93, v))
    return Surface(np.maximum(np.abs(u) - half, np.abs(v) - 1), colour, np.maximum(half - np.abs(u), 0), 0.3)


def draw_band(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A rubber band: a thin closed loop, a little out of round."""
    angle = np.arctan2(u, v)
    radius = 0.8 + 0.1 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.04 * np.sin(3 * angle + rng.uniform(0, 6))
    gap = np.abs(np.hypot(u, v) - radius)
    return Surface(gap - 0.05, plain(u.shape, any_colour(rng)), np.maximum(0.05 - gap, 0), 0.2)


def draw_note(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A square of paper with one curled corner and no print."""
    colour = plain(u.shape, hsv(rng.uniform(), rng.uniform(0.05, 0.5), rng.uniform(0.85, 1.0)))
    colour *= 1 + 0.02 * noise(rng, u.shape, (40, 40), CLOUDY)[..., None]
    curl = 0.12 * np.maximum(u + v - 0.6, 0) ** 2
    return Surface(np.maximum(np.abs(u), np.abs(v)) - 0.7, colour, curl.astype(np.float32), 0.05)


CLUTTER = (
    ObjectClass("pebble", draw_pebble, (1.0, 0.8)),
    ObjectClass("coin", draw_coin, (0.95, 0.95)),
    ObjectClass("pencil", draw_pencil, (0.1, 1.05)),
    ObjectClass("rubber band", draw_band, (1.05, 1.05)),
    ObjectClass("note", draw_note, (0.75, 0.75)),
)
