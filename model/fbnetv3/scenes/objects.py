"""How each class is drawn: a shape, a colour and a height for every point of the object's own plane.

A drawing function takes `u` (right) and `v` (down), both (h, w) float32 in object units, in which the longer
side of the object reaches from about -1 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.scenes.texture import CLOUDY, GRITTY, PATCHY, any_colour, blend, hsv, noise, plain, smoothstep


@dataclass(frozen=True, eq=False)
class Surface:
    """What one object looks like before light falls on it.

    `distance`: (h, w), at most 0 inside the object. `colour`: (h, w, 3) in 0..1. `height`: (h, w) towards the
    viewer in object units. `gloss`: 0 (matt) to 1 (glazed).
    """

    distance: Array
    colour: Array
    height: Array
    gloss: float


Draw = Callable[[Array, Array, np.random.Generator], Surface]


@dataclass(frozen=True)
class ObjectClass:
    """A drawable thing: `reach` is its half width and half height, `tilt` the largest turn in radians."""

    label: str
    draw: Draw
    reach: tuple[float, float]
    tilt: float = np.pi


def _root(values: Array) -> Array:
    roots: Array = np.sqrt(np.maximum(values, 0))
    return roots


def draw_apple(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A round fruit with a dimple, a stalk, streaks from the dimple and pale specks; red, green or yellow."""
    down = v - 0.12
    angle = np.arctan2(u, -down)
    lobes = 0.14 * np.exp(-((angle / 0.42) ** 2)) + 0.05 * np.exp(-(((np.abs(angle) - np.pi) / 0.3) ** 2))
    taper = rng.uniform(0.0, 0.09)
    middle = np.hypot(u, down)
    lobes *= np.minimum(middle / 0.85, 1) ** 2
    rho = middle / (0.85 * (1 - lobes + taper * np.cos(angle)))
    lean = rng.uniform(-0.5, 0.5)
    stalk = np.maximum(np.abs(u - lean * (v + 0.6) ** 2 * 2) - 0.045, np.abs(v + 0.74) - 0.26)
    dimple = np.exp(-(u**2 + 5 * (v + 0.58) ** 2) / 0.06)

    hue = rng.choice([0.0, 0.98, 0.12, 0.22, 0.28]) + rng.uniform(-0.02, 0.02)
    colour = plain(u.shape, hsv(hue, rng.uniform(0.6, 0.9), rng.uniform(0.6, 0.85)))
    blush = hsv(rng.choice([0.0, 0.1, 0.2]), rng.uniform(0.5, 0.85), rng.uniform(0.65, 0.9))
    around = np.arctan2(u, v + 0.75)
    streaks = np.interp(around, np.linspace(-np.pi, np.pi, 90), rng.standard_normal(90)).astype(np.float32)
    cloud = noise(rng, u.shape, (40, 40), CLOUDY)
    blend(colour, blush, smoothstep(-0.5, 2.0, 0.7 * streaks + cloud + rng.uniform(-1, 0.8)))
    blend(colour, hsv(0.15, 0.3, 0.95), 0.5 * smoothstep(1.9, 2.5, noise(rng, u.shape, (70, 70), GRITTY)))
    blend(colour, hsv(0.2, 0.6, 0.35), 0.75 * dimple)
    on_stalk = smoothstep(0.02, -0.02, stalk)
    blend(colour, hsv(0.08, 0.55, 0.28), on_stalk)
    height = 0.85 * _root(1 - rho**2) - 0.3 * dimple + 0.25 * on_stalk
    return Surface(np.minimum(rho - 1, stalk), colour, height, rng.uniform(0.3, 0.7))


def draw_banana(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A ridged crescent with dark ends and brown specks; green, yellow or overripe."""
    bend = rng.uniform(0.85, 1.15)  # half the opening angle in radians
    radius = 0.86 / float(np.sin(bend))
    middle = 0.5 * (1 + float(np.cos(bend))) * radius
    angle, ring = np.arctan2(u, v + middle), np.hypot(u, v + middle)
    along = angle / bend
    body = rng.uniform(0.22, 0.29) * _root(1 - np.abs(along * 0.97) ** 3.2) ** 1.3 - 0.03
    half = np.where(np.abs(along - 1.03) < 0.15, np.maximum(body, 0.06), body)
    across = (ring - radius) / np.maximum(half, 0.02)

    ripeness = rng.uniform()
    colour = plain(u.shape, hsv(0.2 - 0.075 * ripeness, rng.uniform(0.6, 0.85), rng.uniform(0.75, 0.95)))
    blend(colour, hsv(0.24, 0.6, 0.6), (0.9 - 0.6 * ripeness) * smoothstep(0.55, 1.0, np.abs(along)))
    freckles = noise(rng, u.shape, (60, 60), PATCHY)
    blend(
        colour, hsv(0.08, 0.7, 0.3), 0.85 * smoothstep(2.6 - 1.7 * ripeness, 3.0 - 1.4 * ripeness, freckles)
    )
    ridge = np.minimum(np.abs(across + 0.3), np.abs(across - 0.5))
    blend(colour, hsv(0.1, 0.7, 0.4), 0.4 * smoothstep(0.1, 0.0, ridge))
    ends = smoothstep(0.93, 1.0, -along) + smoothstep(1.08, 1.16, along)
    blend(colour, hsv(0.08, 0.5, 0.18), 0.9 * ends)
    facets = np.minimum(np.minimum(2.1 * (1 + across) / 1.5, 1.05 - 0.2 * across), 2.3 * (1 - across))
    return Surface(
        np.abs(ring - radius) - half, colour, half * np.clip(facets, 0, 1.3), rng.uniform(0.1, 0.3)
    )


def _decorate(colour: Array, x: Array, v: Array, rng: np.random.Generator) -> None:
    """Paint a mug's wall: bands, dots, stripes, or nothing; `x` is -1..1 around the visible half."""
    paint, turn = any_colour(rng), np.arcsin(np.clip(x, -1, 1))
    kind = rng.integers(4)
    if kind == 0:
        low = rng.uniform(-0.3, 0.3)
        blend(colour, paint, (smoothstep(low, low + 0.02, v) * smoothstep(low + 0.32, low + 0.3, v)))
    elif kind == 1:
        dots = np.hypot((turn * 1.6) % 0.5 - 0.25, (v * 1.3) % 0.5 - 0.25)
        blend(colour, paint, smoothstep(0.15, 0.13, dots))
    elif kind == 2:
        blend(colour, paint, smoothstep(0.1, 0.3, np.sin(turn * rng.uniform(7, 12))))


def draw_mug(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A cup with an open handle and a drink, seen a little from above; any colour and pattern."""
    side = float(rng.choice([-1.0, 1.0]))
    x = u * side + 0.24
    wide, lid = rng.uniform(0.58, 0.68), rng.uniform(0.13, 0.2)
    width = wide * (1 - rng.uniform(-0.03, 0.16) * (v + 0.6))
    turn = np.clip(x / width, -1, 1)
    bulge = _root(1 - turn**2)
    wall = np.maximum(np.maximum(np.abs(x) - width, v - 0.66 - lid * bulge), -0.62 - lid * bulge - v)
    hoop = np.hypot((x - wide * 0.95) / rng.uniform(0.85, 1.0), v - 0.02) - 0.4
    thick = rng.uniform(0.07, 0.1)
    handle = np.maximum(np.abs(hoop) - thick, wide * 0.9 - x)

    colour = plain(u.shape, any_colour(rng))
    inside = colour[0, 0] * 0.4 + 0.5
    on_wall = smoothstep(0.01, -0.01, wall)
    pattern = colour.copy()
    _decorate(pattern, turn, v, rng)
    blend(colour, pattern, on_wall)
    rim = np.hypot(x / wide, (v + 0.62) / lid)
    blend(colour, inside, smoothstep(1.02, 0.98, rim))
    drink = hsv(rng.uniform(0.04, 0.1), rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.5))
    blend(colour, inside * 0.7, smoothstep(0.9, 0.86, rim))
    low = np.hypot(x / wide, (v + 0.62 - 0.35 * lid) / lid)
    blend(colour, drink, smoothstep(0.88, 0.84, np.maximum(rim, low)))
    round_wall = np.where((rim < 0.97) | (v < -0.62), 0.3 * wide, 0.9 * wide * bulge)
    height = np.where(wall < 0, round_wall, 0.1 + _root(thick**2 - hoop**2))
    return Surface(np.minimum(wall, handle), colour, height, rng.uniform(0.4, 0.9))


def draw_bottle(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A tall glass with a narrow neck, a cap, a level of liquid and a printed paper label; any colour."""
    wide, neck = rng.uniform(0.24, 0.34), rng.uniform(0.085, 0.12)
    shoulder = rng.uniform(-0.55, -0.25)
    width = neck + (wide - neck) * smoothstep(shoulder, shoulder + rng.uniform(0.15, 0.45), v)
    capped = v < -0.82
    width = np.where(capped, neck + 0.025, width).astype(np.float32)
    turn = np.clip(u / width, -1, 1)
    bulge = _root(1 - turn**2)
    end = smoothstep(0.8, 1.0, v) * 0.04
    distance = np.maximum(np.maximum(np.abs(u) - width + end, v - 0.93 - 0.05 * bulge), -0.98 - v)

    hue = rng.uniform()
    glass = hsv(hue, rng.uniform(0.3, 0.85), rng.uniform(0.35, 0.85))
    colour = plain(u.shape, glass)
    blend(colour, glass * 0.4 + 0.5, 0.7 * smoothstep(0.01, -0.01, v - rng.uniform(-0.6, 0.0)))
    blend(colour, glass * 0.3, 0.8 * smoothstep(0.55, 1.0, np.abs(turn)))
    streak = smoothstep(0.14, 0.05, np.abs(turn + float(rng.choice([-0.55, 0.55])))) * smoothstep(
        0.85, 0.7, v
    )
    blend(colour, hsv(hue, 0.05, 1.0), 0.55 * streak)
    _print_label(colour, turn, v + 0.05 * (1 - bulge), rng)
    blend(colour, any_colour(rng) * (0.85 + 0.15 * np.sin(turn * 30))[..., None], capped * 1.0)
    return Surface(distance, colour, 0.8 * width * bulge, rng.uniform(0.6, 1.0))


def _print_label(colour: Array, turn: Array, v: Array, rng: np.random.Generator) -> None:
    """Stick a paper with a band of colour and lines of print round the body of a bottle."""
    top, bottom = rng.uniform(0.05, 0.2), rng.uniform(0.55, 0.75)
    paper = smoothstep(top, top + 0.015, v) * smoothstep(bottom, bottom - 0.015, v)
    blend(colour, hsv(rng.uniform(0.05, 0.2), rng.uniform(0.03, 0.35), rng.uniform(0.8, 0.97)), paper)
    band = (np.abs(v - top - 0.13) < 0.06) * paper
    blend(colour, any_colour(rng), band)
    words = np.sin(turn * 23 + np.floor(v * 16) * 2.3) > -0.5
    text = words * (v > top + 0.24) * (np.abs(turn) < 0.7) * ((v * 16) % 1 < 0.45) * paper
    blend(colour, hsv(0.0, 0.0, 0.25), 0.8 * text)


def draw_book(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A closed book: a woven cover with a title and a picture, a spine groove, and pages along two edges."""
    half = rng.uniform(0.6, 0.76)
    thick = rng.uniform(0.07, 0.16)
    corner = np.maximum(np.abs(u) - half, np.abs(v) - 0.95)
    cover = np.maximum(u - (half - thick), v - (0.95 - thick))

    cloth = any_colour(rng)
    colour = plain(u.shape, cloth)
    colour *= 1 + 0.07 * noise(rng, u.shape, (120, 120), PATCHY)[..., None]
    _print_cover(colour, u, v, half - thick, rng)
    blend(colour, cloth * 0.5, 0.8 * smoothstep(0.035, 0.015, np.abs(u + half - 0.12)))
    sheets = 0.8 + 0.12 * np.sin(cover * 190 / (1 + 4 * thick))
    page = smoothstep(0.0, 0.01, cover) * smoothstep(thick - 0.015, thick - 0.03, cover)
    blend(colour, hsv(0.11, rng.uniform(0.05, 0.3), 0.98) * sheets[..., None], page)
    blend(colour, cloth * 0.25, 0.8 * smoothstep(0.02, 0.0, np.abs(cover)))
    groove = 0.02 * smoothstep(0.06, 0.0, np.abs(u + half - 0.12))
    height = 0.03 * smoothstep(0.0, -0.05, corner) - groove - 0.35 * np.maximum(cover, 0)
    return Surface(corner, colour, height, rng.uniform(0.0, 0.25))


def _print_cover(colour: Array, u: Array, v: Array, right: float, rng: np.random.Generator) -> None:
    """A title of two or three lines in the upper half and an emblem or a frame below."""
    ink, centre = any_colour(rng) * 0.5 + rng.choice([0.0, 0.5]), 0.5 * (right - 0.5)
    top = rng.uniform(-0.75, -0.5)
    for line in range(int(rng.integers(2, 4))):
        bar = np.maximum(np.abs(u - centre) - rng.uniform(0.2, 0.4), np.abs(v - top - 0.17 * line) - 0.045)
        blend(colour, ink, smoothstep(0.01, -0.01, bar))
    kind, middle = rng.integers(3), rng.uniform(0.2, 0.4)
    if kind == 0:
        emblem = np.hypot(u - centre, v - middle) - rng.uniform(0.15, 0.28)
    elif kind == 1:
        emblem = np.abs(u - centre) + np.abs(v - middle) - rng.uniform(0.2, 0.35)
    else:
        emblem = np.abs(np.maximum(np.abs(u - centre) - 0.38, np.abs(v + 0.05) - 0.78)) - 0.02
    blend(colour, any_colour(rng), smoothstep(0.01, -0.01, emblem))


def draw_leaf(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A pointed blade with veins, a toothed or smooth edge and a stalk; green to autumn red."""
    x = u - rng.uniform(-0.2, 0.2) * (v**2 - 0.3)
    along = np.clip((v + 1) / 1.72, 0.0, 1.0)
    tooth = float(rng.choice([0.0, 0.1])) * ((v * rng.uniform(7, 11)) % 1)
    profile = np.maximum(np.sin(np.pi * along ** rng.uniform(0.8, 1.25)), 0) ** rng.uniform(0.8, 1.2)
    blade = np.abs(x) - rng.uniform(0.3, 0.5) * profile * (1 - tooth) + 0.012
    stalk = np.maximum(np.abs(x) - 0.036, np.abs(v - 0.8) - 0.2)

    hue = rng.choice([0.27, 0.31, 0.36, 0.15, 0.08, 0.03]) + rng.uniform(-0.02, 0.02)
    leaf_colour = hsv(hue, rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.8))
    colour = plain(u.shape, leaf_colour)
    autumn = hsv(rng.uniform(0.02, 0.3), 0.7, rng.uniform(0.4, 0.8))
    blend(colour, autumn, 0.7 * smoothstep(-0.3, 1.8, noise(rng, u.shape, (50, 50), CLOUDY)))
    spacing = rng.uniform(4.0, 6.5)
    fan = np.abs((v + rng.uniform(0.6, 1.0) * np.abs(x)) * spacing % 1 - 0.5)
    side_vein = smoothstep(0.1, 0.02, fan) * smoothstep(0.0, -0.08, blade)
    midrib = smoothstep(0.03, 0.012, np.abs(x))
    blend(colour, leaf_colour * 0.5 + hsv(0.18, 0.25, 0.45), np.maximum(0.6 * side_vein, 0.85 * midrib))
    dome = 0.22 * _root(np.clip(-blade, 0, 1)) + 0.035 * fan * smoothstep(0.0, -0.1, blade)
    height = np.maximum(dome - 0.06 * smoothstep(0.08, 0.0, np.abs(x)), 0.05 * (stalk < 0))
    return Surface(np.minimum(blade, stalk), colour, height, rng.uniform(0.05, 0.4))


OBJECT_CLASSES = (
    ObjectClass("apple", draw_apple, (0.95, 1.02)),
    ObjectClass("banana", draw_banana, (1.02, 0.75)),
    ObjectClass("mug", draw_mug, (1.0, 0.9), tilt=0.7),
    ObjectClass("bottle", draw_bottle, (0.38, 1.02)),
    ObjectClass("book", draw_book, (0.8, 1.0)),
    ObjectClass("leaf", draw_leaf, (0.7, 1.02)),
)
