"""A whole picture: where the objects lie, which hides which, and the light, shadows and noise over all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask
from fbnetv3.scenes.backgrounds import draw_background
from fbnetv3.scenes.clutter import CLUTTER
from fbnetv3.scenes.objects import OBJECT_CLASSES, ObjectClass, Surface

SCENE_LABELS: tuple[str, ...] = tuple(kind.label for kind in OBJECT_CLASSES)

SIZE_LIMITS = (128, 3000)  # pixels per side
MOST_OBJECTS = 8
OBJECT_SCALE = (0.08, 0.55)  # longer side of an object over the shorter side of the picture
CLUTTER_SCALE = (0.04, 0.12)
INSET = 0.35  # of an object's length between its centre and the edge of the picture, at least
CROWDING = 0.4  # share of the objects put close to an earlier one, so that some hide others
SMALLEST_SIDE = 24  # pixels; a smaller object has no shape left
LEAST_VISIBLE = 0.25  # share of an object that must show; with less of it nobody could say what it is
LEAST_AREA = 60  # visible pixels


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture and its exact labels.

    `image`: (H, W, 3) uint8 RGB. `boxes`: (n, 4) float32 x0, y0, x1, y1 in pixels, tight around the visible
    mask, x1 and y1 one past the last pixel. `classes`: (n,) int64, indices into `SCENE_LABELS`. `masks`: n
    masks of what is visible; no pixel belongs to two.
    """

    image: Array
    boxes: Array
    classes: Array
    masks: tuple[BoxMask, ...]


@dataclass(frozen=True)
class Light:
    """The lamp: `direction` is a unit vector to it (right, down, to the viewer), `tint` its RGB factors.

    `ambient`, 0..1, is the share of the light that comes from everywhere.
    """

    direction: tuple[float, float, float]
    ambient: float
    tint: Array


@dataclass(frozen=True, eq=False)
class Sprite:
    """One lit object, not yet on the picture; pixel (0, 0) of its patch is pixel (`x`, `y`), maybe outside.

    `colour`: (h, w, 3) uint8. `coverage`: (h, w) uint8, 0..255. `mask`: (h, w) bool.
    `radius`: pixels per object unit.
    """

    x: int
    y: int
    colour: Array
    coverage: Array
    mask: Array
    radius: float


def generate_scene(seed: int, size: tuple[int, int] = (480, 640)) -> Scene:
    """Draw scene number `seed` at `size` (height, width), 128 to 3000 pixels a side.

    The same seed and size give the same bytes. Raises ValueError for a size out of these limits and for a
    negative seed.
    """
    low, high = SIZE_LIMITS
    if len(size) != 2 or not all(low <= side <= high for side in size):
        raise ValueError(f"A scene is {low} to {high} pixels high and wide, not {size}.")
    if seed < 0:
        raise ValueError(f"The seed of a scene is 0 or more, not {seed}.")
    rng = np.random.default_rng(seed)
    light = _pick_light(rng)
    canvas = draw_background(size, rng)
    canvas *= light.ambient + (1 - light.ambient) * light.direction[2]
    for sprite in _scatter_clutter(size, light, rng):
        _paint(canvas, sprite, light)
    shown = _visible(_place_objects(size, light, rng), size)
    for _, sprite, _ in reversed(shown):
        _paint(canvas, sprite, light)
    masks = tuple(mask for _, _, mask in shown)
    classes = np.array([index for index, _, _ in shown], np.int64)
    return Scene(_photograph(canvas, light, rng), _boxes(masks), classes, masks)


def _pick_light(rng: np.random.Generator) -> Light:
    """A lamp somewhere above the picture, warm or cold."""
    azimuth, elevation = rng.uniform(-np.pi, 0), rng.uniform(0.6, 1.15)
    flat, rise = float(np.cos(elevation)), float(np.sin(elevation))
    direction = (flat * float(np.cos(azimuth)), flat * float(np.sin(azimuth)), rise)
    warmth = rng.uniform(-0.08, 0.1)
    tint = np.array([1 + warmth, 1, 1 - warmth], np.float32) * rng.uniform(0.95, 1.2)
    return Light(direction, rng.uniform(0.3, 0.5), tint.astype(np.float32))


def _place_objects(size: tuple[int, int], light: Light, rng: np.random.Generator) -> list[tuple[int, Sprite]]:
    """Objects (class index, sprite) from the front to the back; some lie close to an earlier one."""
    count = int(rng.integers(1, MOST_OBJECTS + 1))
    low, high = OBJECT_SCALE
    low = max(low, SMALLEST_SIDE / min(size))
    placed: list[tuple[int, Sprite]] = []
    centres: list[tuple[float, float]] = []
    for _ in range(count):
        index = int(rng.integers(len(OBJECT_CLASSES)))
        side = low * (high / low) ** (rng.uniform() ** 0.75) * min(size)
        x, y = _pick_centre(size, side, centres, rng)
        centres.append((x, y))
        placed.append((index, _make_sprite(OBJECT_CLASSES[index], (x, y), side / 2, light, rng)))
    return placed


def _pick_centre(
    size: tuple[int, int], side: float, centres: list[tuple[float, float]], rng: np.random.Generator
) -> tuple[float, float]:
    """A place (x, y) for an object `side` pixels long: anywhere, or close to an earlier one."""
    limits = [(INSET * side, length - INSET * side) for length in (size[1], size[0])]
    x, y = (rng.uniform(*limit) for limit in limits)
    if centres and rng.uniform() < CROWDING:
        near = centres[rng.integers(len(centres))]
        moved = (centre + rng.uniform(-0.7, 0.7) * side for centre in near)
        x, y = (min(max(place, low), high) for place, (low, high) in zip(moved, limits, strict=True))
    return x, y


def _scatter_clutter(size: tuple[int, int], light: Light, rng: np.random.Generator) -> list[Sprite]:
    """Up to six small things of no class."""
    sprites = []
    for _ in range(int(rng.integers(0, 7))):
        kind = CLUTTER[rng.integers(len(CLUTTER))]
        centre = (rng.uniform(0, size[1]), rng.uniform(0, size[0]))
        radius = max(rng.uniform(*CLUTTER_SCALE) * min(size) / 2, 4.0)
        sprites.append(_make_sprite(kind, centre, radius, light, rng))
    return sprites


def _make_sprite(
    kind: ObjectClass, centre: tuple[float, float], radius: float, light: Light, rng: np.random.Generator
) -> Sprite:
    """Draw one thing turned, stretched and lit, `radius` pixels per object unit around `centre` (x, y)."""
    angle = rng.uniform(-kind.tilt, kind.tilt)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    stretch = rng.uniform(0.85, 1.0), rng.uniform(0.85, 1.0)
    half_u, half_v = (reach * radius * factor for reach, factor in zip(kind.reach, stretch, strict=True))
    half_w, half_h = abs(cos) * half_u + abs(sin) * half_v + 2, abs(sin) * half_u + abs(cos) * half_v + 2
    x0, y0 = int(np.floor(centre[0] - half_w)), int(np.floor(centre[1] - half_h))
    x = np.arange(x0, int(np.ceil(centre[0] + half_w)) + 1, dtype=np.float32) + 0.5 - np.float32(centre[0])
    y = (
        np.arange(y0, int(np.ceil(centre[1] + half_h)) + 1, dtype=np.float32)[:, None]
        + 0.5
        - np.float32(centre[1])
    )
    u, v = (cos * x + sin * y) / (radius * stretch[0]), (cos * y - sin * x) / (radius * stretch[1])
    surface = kind.draw(u, v, rng)
    coverage = np.clip(0.5 - surface.distance / _steepness(surface.distance, 0.3 / radius), 0, 1)
    colour = np.clip(_lit(surface, light, radius), 0, 1)
    return Sprite(
        x0,
        y0,
        (colour * 255).astype(np.uint8),
        (coverage * 255).astype(np.uint8),
        surface.distance <= 0,
        radius,
    )


def _steepness(field: Array, least: float) -> Array:
    """Length of the gradient per pixel, never under `least`."""
    down, right = np.gradient(field)
    steepness: Array = np.maximum(np.sqrt(down * down + right * right), least)
    return steepness


def _lit(surface: Surface, light: Light, radius: float) -> Array:
    """The colour (h, w, 3) of a surface in this light: diffuse and specular reflection (Blinn-Phong)."""
    down, right = np.gradient(surface.height * radius)
    length = np.sqrt(right * right + down * down + 1)
    x, y, z = light.direction
    diffuse = np.maximum((z - x * right - y * down) / length, 0)
    half = np.sqrt(x * x + y * y + (z + 1) ** 2)
    mirror = np.maximum(((z + 1) - x * right - y * down) / (length * half), 0)
    shine = surface.gloss * 0.6 * mirror ** (15 + 45 * surface.gloss)
    lit = light.ambient + (1.15 - light.ambient) * diffuse
    colours: Array = surface.colour * lit[..., None] + shine[..., None]
    return colours


def _visible(placed: list[tuple[int, Sprite]], size: tuple[int, int]) -> list[tuple[int, Sprite, BoxMask]]:
    """The objects that show enough of themselves, front to back, with their visible masks."""
    taken = np.zeros(size, bool)
    shown = []
    for index, sprite in placed:
        rows, columns = _overlap(sprite, size)
        inside = sprite.mask[
            rows.start - sprite.y : rows.stop - sprite.y, columns.start - sprite.x : columns.stop - sprite.x
        ]
        free = inside & ~taken[rows, columns]
        if free.sum() < max(LEAST_AREA, LEAST_VISIBLE * sprite.mask.sum()):
            continue
        taken[rows, columns] |= inside
        crop = BoxMask.from_full(free)
        shown.append((index, sprite, BoxMask(crop.x + columns.start, crop.y + rows.start, crop.bitmap)))
    return shown


def _overlap(sprite: Sprite, size: tuple[int, int], grow: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the picture under a sprite's patch, grown by `grow` pixels."""
    height, width = sprite.mask.shape
    rows = slice(max(sprite.y - grow, 0), max(min(sprite.y + height + grow, size[0]), 0))
    return rows, slice(max(sprite.x - grow, 0), max(min(sprite.x + width + grow, size[1]), 0))


def _paint(canvas: Array, sprite: Sprite, light: Light) -> None:
    """Put a sprite on the picture, its soft shadow first."""
    size = canvas.shape[:2]
    _cast_shadow(canvas, sprite, light)
    rows, columns = _overlap(sprite, size)
    part = np.s_[
        rows.start - sprite.y : rows.stop - sprite.y, columns.start - sprite.x : columns.stop - sprite.x
    ]
    coverage = sprite.coverage[part].astype(np.float32)[..., None] / 255
    canvas[rows, columns] += (sprite.colour[part].astype(np.float32) / 255 - canvas[rows, columns]) * coverage


def _cast_shadow(canvas: Array, sprite: Sprite, light: Light) -> None:
    """Darken what lies on the far side of the lamp."""
    x, y, z = light.direction
    blur = 1 + 0.07 * sprite.radius
    dx, dy = (round(-part / z * 0.22 * sprite.radius) for part in (x, y))
    grow = int(2 * blur) + max(abs(dx), abs(dy)) + 1
    padded = np.pad(sprite.coverage, grow)
    soft = Image.fromarray(padded).filter(ImageFilter.BoxBlur(blur)).filter(ImageFilter.BoxBlur(blur))
    shadow = np.roll(np.asarray(soft), (dy, dx), (0, 1))
    rows, columns = _overlap(sprite, canvas.shape[:2], grow)
    left, top = sprite.x - grow, sprite.y - grow
    shadow = shadow[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    canvas[rows, columns] *= 1 - (0.75 - light.ambient / 2) / 255 * shadow[..., None].astype(np.float32)


def _photograph(canvas: Array, light: Light, rng: np.random.Generator) -> Array:
    """Light falling off across the picture, lens blur and sensor noise: (H, W, 3) uint8."""
    height, width = canvas.shape[:2]
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * light.direction[0]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * light.direction[1]
    canvas *= ((1 + 0.35 * (across + down))[..., None] * light.tint) * 255
    sharp = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    blur = rng.uniform(0.2, 0.8) * max(1.0, min(height, width) / 1000)
    photo = np.asarray(sharp.filter(ImageFilter.BoxBlur(blur)), np.float32)
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(1.0, 5.0)
    return np.clip(photo + (grain + 0.5), 0, 255).astype(np.uint8)


def _boxes(masks: tuple[BoxMask, ...]) -> Array:
    """Boxes (n, 4) float32 around cropped masks."""
    corners = [(m.x, m.y, m.x + m.bitmap.shape[1], m.y + m.bitmap.shape[0]) for m in masks]
    return np.array(corners, np.float32).reshape(-1, 4)
