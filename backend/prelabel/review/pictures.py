"""Two small pictures of a finding: what is annotated there, and what the model would have; the finding stands out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fbnetv3.arrays import Array
from fbnetv3.drawing import class_colour
from fbnetv3.instances import Instances
from prelabel.review.findings import Box, ReviewFinding

SIZE = (400, 300)
"""Width and height that a picture has at most, pixels: two of them fit side by side into half a screen."""

ROOM = 0.7
"""Around the finding, on each side, as a share of its longer side: enough to see what stands beside it."""

LEAST_EXTENT = 96
"""Pixels of the image that are shown at least: a smaller cut-out is a blur in which nobody recognises anything."""

SURE = 0.3
"""Score from which what the model found is drawn."""

QUALITY = 70
HIGHLIGHT, SHADE = (255, 221, 0), (20, 20, 20)


@dataclass(frozen=True)
class Mark:
    """A box to be drawn, in pixels of the image, with a caption; highlighted, or one of the others in its `colour`."""

    box: Box
    caption: str
    colour: tuple[int, int, int]
    is_finding: bool = False


def picture_pair(
    finding: ReviewFinding, pixels: Array, annotated: Instances, predicted: Instances
) -> tuple[bytes, bytes]:
    """JPEG files: the annotation (for a prediction the image alone), and the model."""
    window = _window(finding, (pixels.shape[0], pixels.shape[1]))
    others = [number for number in range(len(annotated)) if number not in finding.objects]
    now = [
        Mark(box, label, HIGHLIGHT, True) for label, box in zip(finding.labels, finding.boxes, strict=True)
    ]
    if not finding.objects and finding.box:
        now = [Mark(finding.box, "nothing here", HIGHLIGHT, True)]
    found = _marks(predicted.select(predicted.scores >= SURE), True)
    if finding.source == "prediction":
        return _draw(pixels, window, []), _draw(pixels, window, [*found, *now])
    annotation = _draw(pixels, window, [*_marks(annotated.select(others), False), *now])
    return annotation, _draw(pixels, window, [*found, *_wanted(finding)])


def _wanted(finding: ReviewFinding) -> list[Mark]:
    """What should be there, as the model says; where the label stands at least."""
    label = finding.label or next(iter(finding.labels), "")
    if finding.box:
        return [Mark(finding.box, label, HIGHLIGHT, True)]
    if finding.kind == "duplicate":
        return [Mark(finding.boxes[-1], f"one {label}", HIGHLIGHT, True)]
    caption = label if finding.label else f"no {label}"
    return [Mark(box, caption, HIGHLIGHT, True) for box in finding.boxes]


def _marks(instances: Instances, with_scores: bool) -> list[Mark]:
    """The worst first, so that the best lie on top."""
    return [
        Mark(
            tuple(instances.boxes[i].tolist()),
            f"{instances.labels[i]} {instances.scores[i]:.2f}" if with_scores else instances.labels[i],
            class_colour(int(instances.classes[i])),
        )
        for i in reversed(range(len(instances)))
    ]


def _window(finding: ReviewFinding, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What is cut out: x0, y0, x1, y1 in whole pixels inside the image of (height, width), of SIZE's proportions where
    the image has the room."""
    height, width = size
    boxes = np.array([*finding.boxes, *([finding.box] if finding.box else [])], np.float64).reshape(-1, 4)
    if not len(boxes):
        return 0, 0, width, height
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    extent = np.maximum((high - low) + 2 * ROOM * (high - low).max(), LEAST_EXTENT)
    extent = np.maximum(extent, extent[::-1] * (SIZE[0] / SIZE[1], SIZE[1] / SIZE[0]))
    extent = np.minimum(extent, (width, height))
    start = np.clip((low + high - extent) / 2, 0, (width, height) - extent)
    x0, y0 = np.floor(start).astype(int).tolist()
    x1, y1 = np.ceil(start + extent).astype(int).tolist()
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _draw(pixels: Array, window: tuple[int, int, int, int], marks: Sequence[Mark]) -> bytes:
    x0, y0, x1, y1 = window
    scale = min(SIZE[0] / (x1 - x0), SIZE[1] / (y1 - y0))
    size = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    picture = Image.fromarray(pixels[y0:y1, x0:x1]).resize(size, Image.Resampling.LANCZOS)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    for mark in marks:
        box = [float(side - start) * scale for side, start in zip(mark.box, (x0, y0, x0, y0), strict=True)]
        if box[0] < size[0] and box[1] < size[1] and box[2] > 0 and box[3] > 0:
            _draw_mark(pen, mark, box, size, font)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _draw_mark(
    pen: ImageDraw.ImageDraw,
    mark: Mark,
    box: list[float],
    size: tuple[int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    if mark.is_finding:
        pen.rectangle([box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2], outline=SHADE, width=7)
    pen.rectangle(box, outline=mark.colour, width=3 if mark.is_finding else 1)
    left, top, right, bottom = pen.textbbox((0, 0), mark.caption, font=font)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(box[0], 0), max(size[0] - width, 0))
    y = box[1] - height if box[1] >= height else max(min(box[1], size[1] - height), 0)
    pen.rectangle((x, y, x + width, y + height), fill=mark.colour)
    pen.text((x + 3 - left, y + 3 - top), mark.caption, fill=SHADE, font=font)
