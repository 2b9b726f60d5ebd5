"""What the objects lie on or stand before: seven kinds of surface, each different in every scene."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fbnetv3.arrays import Array
from fbnetv3.scenes.texture import CLOUDY, GRITTY, blend, hsv, noise, plain, smoothstep

WORKING_SIDE = 1000  # longest side drawn in pixels; a larger picture gets this one enlarged

Shape = tuple[int, int]


def _grid(shape: Shape) -> tuple[Array, Array]:
    """(rows, columns) in units of the shorter side, as (h, 1) and (1, w) float32."""
    short = min(shape)
    rows, columns = (np.arange(count, dtype=np.float32) / short for count in shape)
    return rows[:, None], columns[None, :]


def _texels(shape: Shape, rows: float, columns: float) -> tuple[float, float]:
    """Noise texels for `rows` and `columns` texels per shorter side."""
    short = min(shape)
    return rows * shape[0] / short, columns * shape[1] / short


def draw_wood(shape: Shape, rng: np.random.Generator) -> Array:
    """Planks with grain and dark joints."""
    rows, columns = _grid(shape)
    base = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.8))
    count = rng.uniform(1.5, 4.5)
    plank = np.floor(rows * count + rng.uniform()).astype(int)
    shift = rng.uniform(-0.12, 0.12, 64).astype(np.float32)[plank]
    knots = noise(rng, shape, _texels(shape, 50, 10), CLOUDY)
    grain = np.sin(12 * (knots + 6 * shift) + 30 * rows) * 0.05
    fibre = noise(rng, shape, _texels(shape, 240, 16), GRITTY) * 0.045
    tone = 1 + grain + fibre + shift
    edge = np.diff(plank, axis=0, prepend=plank[:1]) != 0
    tone = np.where(edge, 0.45, tone) + np.zeros_like(columns)
    colours: Array = base * tone[..., None]
    return colours


def draw_cloth(shape: Shape, rng: np.random.Generator) -> Array:
    """Woven cloth, plain, striped or chequered, with soft folds."""
    rows, columns = _grid(shape)
    thread = rng.uniform(45, 75) * 2 * np.pi
    weave = np.sin(rows * thread) * np.sin(columns * thread)
    folds = noise(rng, shape, _texels(shape, 8, 8), CLOUDY)
    colour = plain(shape, hsv(rng.uniform(), rng.uniform(0.05, 0.6), rng.uniform(0.45, 0.95)))
    second, count, kind = (
        hsv(rng.uniform(), rng.uniform(0.1, 0.7), rng.uniform(0.35, 0.95)),
        rng.uniform(2, 9),
        rng.integers(3),
    )
    bent = 0.02 * folds
    stripe = smoothstep(-0.15, 0.15, np.sin((columns + bent) * count * 2 * np.pi))
    if kind == 0:
        blend(colour, second, 0.6 * stripe)
    elif kind == 1:
        crossing = smoothstep(-0.15, 0.15, np.sin((rows + bent) * count * 2 * np.pi))
        blend(colour, second, 0.4 * stripe + 0.4 * crossing)
    colour *= (1 + 0.05 * weave + 0.05 * folds)[..., None]
    return colour


def draw_concrete(shape: Shape, rng: np.random.Generator) -> Array:
    """Grey stone with stains, grit and small holes."""
    colour = plain(shape, hsv(rng.uniform(0.0, 0.7), rng.uniform(0.0, 0.12), rng.uniform(0.4, 0.8)))
    stains = noise(rng, shape, _texels(shape, 90, 90), CLOUDY)
    grit = noise(rng, shape, _texels(shape, 300, 300), GRITTY)
    colour *= (1 + 0.07 * stains + 0.05 * grit)[..., None]
    blend(colour, colour * 0.5, smoothstep(2.3, 2.8, noise(rng, shape, _texels(shape, 120, 120), GRITTY)))
    return colour


def draw_tiles(shape: Shape, rng: np.random.Generator) -> Array:
    """Kitchen tiles with grout between them, every tile a little lighter or darker."""
    rows, columns = _grid(shape)
    count = rng.uniform(2, 6)
    down, right = (
        rows * count + rng.uniform(),
        columns * count * float(rng.choice([0.5, 1.0])) + rng.uniform(),
    )
    tone = rng.uniform(-0.06, 0.06, (64, 64)).astype(np.float32)[
        down.astype(int) % 64, right.astype(int) % 64
    ]
    colour = plain(shape, hsv(rng.uniform(), rng.uniform(0.02, 0.45), rng.uniform(0.5, 0.95)))
    colour *= (1 + tone + 0.04 * noise(rng, shape, _texels(shape, 60, 60), CLOUDY))[..., None]
    gap = np.minimum(0.5 - np.abs(down % 1 - 0.5), 0.5 - np.abs(right % 1 - 0.5))
    blend(colour, hsv(0.1, 0.08, rng.uniform(0.35, 0.8)), smoothstep(0.04, 0.02, gap))
    return colour


def draw_marble(shape: Shape, rng: np.random.Generator) -> Array:
    """Polished stone with thin veins."""
    colour = plain(shape, hsv(rng.uniform(0.05, 0.6), rng.uniform(0.0, 0.15), rng.choice([0.25, 0.8, 0.92])))
    vein = hsv(rng.uniform(0.05, 0.6), rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.8))
    for texels, amount in ((40, 0.6), (90, 0.3)):
        lines = np.abs(noise(rng, shape, _texels(shape, texels, texels), CLOUDY))
        blend(colour, vein, amount * smoothstep(0.06, 0.0, lines))
    colour *= (1 + 0.05 * noise(rng, shape, _texels(shape, 20, 20), CLOUDY))[..., None]
    return colour


def draw_sky(shape: Shape, rng: np.random.Generator) -> Array:
    """A sky or a painted wall: one colour runs into another, with cloud."""
    rows, _ = _grid(shape)
    top = hsv(rng.uniform(0.5, 0.65), rng.uniform(0.2, 0.7), rng.uniform(0.5, 0.95))
    bottom = hsv(rng.choice([0.08, 0.55, 0.9]), rng.uniform(0.05, 0.4), rng.uniform(0.75, 1.0))
    colour = plain(shape, top)
    blend(colour, bottom, np.broadcast_to(smoothstep(0.0, float(rows[-1, 0]), rows), shape))
    cloud = noise(rng, shape, _texels(shape, 40, 20), CLOUDY)
    blend(colour, hsv(0.6, 0.03, 1.0), rng.uniform(0.1, 0.7) * smoothstep(0.2, 2.2, cloud))
    return colour


def draw_lawn(shape: Shape, rng: np.random.Generator) -> Array:
    """Short grass, or a carpet of another colour."""
    hue = rng.choice([0.25, 0.28, rng.uniform()])
    colour = plain(shape, hsv(hue, rng.uniform(0.3, 0.65), rng.uniform(0.3, 0.6)))
    blades = noise(rng, shape, _texels(shape, 90, 260), GRITTY)
    patches = noise(rng, shape, _texels(shape, 20, 20), CLOUDY)
    colour *= np.maximum(1 + 0.22 * blades + 0.08 * patches, 0.2)[..., None]
    return colour


BACKGROUNDS = (draw_wood, draw_cloth, draw_concrete, draw_tiles, draw_marble, draw_sky, draw_lawn)


def draw_background(size: Shape, rng: np.random.Generator) -> Array:
    """A random background for a picture of `size` (height, width): (h, w, 3) float32, about 0..1."""
    scale = min(1.0, WORKING_SIDE / max(size))
    shape = (max(2, round(size[0] * scale)), max(2, round(size[1] * scale)))
    draw = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    upright = draw is draw_wood and rng.uniform() < 0.5
    if upright:
        shape = shape[::-1]
    picture = draw(shape, rng)
    if upright:
        picture, shape = picture.transpose(1, 0, 2), shape[::-1]
    if shape == size:
        return np.ascontiguousarray(picture, np.float32)
    small = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC), np.float32) / 255
