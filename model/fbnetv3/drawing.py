"""Pictures for people: an image with the boxes, masks and labels of its instances drawn in."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fbnetv3.arrays import Array
from fbnetv3.images import ImageSource, read_image
from fbnetv3.instances import Instances

MASK_OPACITY = 0.45
#: Steps of the hue by the golden angle keep neighbouring classes apart in colour.
GOLDEN_ANGLE = 0.381966


def class_colour(index: int) -> tuple[int, int, int]:
    """A vivid RGB colour for a class, the same every time."""
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_ANGLE % 1.0, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw(image: ImageSource, instances: Instances) -> Image.Image:
    """The image with its instances, the best on top; line widths follow the size of the image."""
    canvas = read_image(image).copy()
    for i in reversed(range(len(instances))):
        _draw_mask(canvas, instances, i)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    width = max(2, round(min(picture.size) / 250))
    font = ImageFont.load_default(size=max(11, 6 * width))
    for i in reversed(range(len(instances))):
        colour = class_colour(int(instances.classes[i]))
        box = instances.boxes[i].tolist()
        pen.rectangle(box, outline=colour, width=width)
        text = f"{instances.labels[i]} {instances.scores[i]:.2f}"
        left, top, right, bottom = pen.textbbox((box[0], box[1]), text, font=font)
        pen.rectangle((left, top, right + 2 * width, bottom + width), fill=colour)
        pen.text((box[0] + width, box[1]), text, fill="black", font=font)
    return picture


def _draw_mask(canvas: Array, instances: Instances, i: int) -> None:
    if instances.masks is None:
        return
    mask = instances.masks[i]
    height, width = mask.bitmap.shape
    area = canvas[mask.y : mask.y + height, mask.x : mask.x + width]
    colour = np.array(class_colour(int(instances.classes[i])))
    area[mask.bitmap] = ((1 - MASK_OPACITY) * area[mask.bitmap] + MASK_OPACITY * colour).astype(np.uint8)
