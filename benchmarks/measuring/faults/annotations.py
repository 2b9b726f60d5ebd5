"""Odd annotations: to_objects gives objects inside the image, and a sentence for each region that is none."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fbnetv3.data.examples import SceneExamples
from fbnetv3.instances import BoxMask
from measuring.faults.mutation import as_file, damaged, odd
from measuring.faults.trials import Broke, Subject, Trial
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledObject
from prelabel.labelstudio.shapes.brush_rle import mask_to_rle

FIRST_SCENE = 6_200_000
"""Training draws from the first million."""

SIZE = (128, 160)
MARGIN = 1e-3
"""Pixels by which a box may stick out, for want of digits."""

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="rect" toName="image"><Label value="apple"/><Label value="mug" alias="m"/></RectangleLabels>
  <PolygonLabels name="poly" toName="image"><Label value="apple"/><Label value="leaf"/></PolygonLabels>
  <BrushLabels name="brush" toName="image"><Label value="apple"/><Label value="mug"/></BrushLabels>
  <EllipseLabels name="ell" toName="image"><Label value="apple"/></EllipseLabels>
  <KeyPointLabels name="point" toName="image"><Label value="apple"/></KeyPointLabels>
  <Labels name="labels" toName="image"><Label value="book"/><Label value="leaf"/></Labels>
  <Rectangle name="r" toName="image"/><Polygon name="p" toName="image"/><Brush name="b" toName="image"/>
  <Ellipse name="e" toName="image"/>
  <BitmaskLabels name="bits" toName="image"><Label value="apple"/></BitmaskLabels>
  <Choices name="c" toName="image"><Choice value="yes"/></Choices>
</View>"""


class Annotations(Subject):
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        self._controls = ObjectControls.from_config(CONFIG)
        self._result = _result()

    def trial(self, number: int, dice: random.Random) -> Trial:
        """A few regions of all kinds, odd."""
        chosen = dice.sample(self._result, dice.randint(1, len(self._result)))
        changed = odd(dice, [_with_damaged_picture(dice, region) for region in chosen], most=4)
        regions = (
            [region for region in changed if isinstance(region, dict)] if isinstance(changed, list) else []
        )
        return Trial("regions", {"result.json": as_file(regions)}, lambda: self._attempt(regions))

    def _attempt(self, regions: list[dict[str, Any]]) -> str:
        found = to_objects(regions, self._controls, "image", SIZE)
        for one in found.objects:
            _check(one, self._controls.labels)
        for sentence in found.left_out:
            if "\n" in sentence or not sentence:
                raise Broke(f"not one sentence: {sentence!r}")
        return "some left out" if found.left_out else "all read"


def _check(one: LabelledObject, labels: tuple[str, ...]) -> None:
    height, width = SIZE
    x0, y0, x1, y1 = one.box
    if not (-MARGIN <= x0 < x1 <= width + MARGIN and -MARGIN <= y0 < y1 <= height + MARGIN):
        raise Broke(f"the box {one.box} in an image of {width} x {height}")
    if one.label not in labels:
        raise Broke(f"the label {one.label!r}")
    if one.mask is not None:
        rows, columns = one.mask.bitmap.shape
        if one.mask.x < 0 or one.mask.y < 0 or one.mask.x + columns > width or one.mask.y + rows > height:
            raise Broke(f"a mask of {columns} x {rows} at {one.mask.x}, {one.mask.y}")
        if not one.mask.area:
            raise Broke("an empty mask")
    if one.score is not None and not 0 <= one.score <= 1:
        raise Broke(f"the score {one.score}")


def _with_damaged_picture(dice: random.Random, region: dict[str, Any]) -> dict[str, Any]:
    """A bitmask whose PNG is damaged, by halves; others as they are."""
    head, comma, content = str(region["value"].get("imageDataURL", "")).partition(",")
    if not comma or dice.random() < 0.5:
        return region
    png = base64.b64encode(damaged(dice, base64.b64decode(content))).decode()
    return {**region, "value": {**region["value"], "imageDataURL": f"{head},{png}"}}


def _result() -> list[dict[str, Any]]:
    """A region of every kind."""
    mask = (SceneExamples(FIRST_SCENE, 1, SIZE)[0].masks or ())[0]
    rle = mask_to_rle(mask, SIZE)
    box = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 25.5}
    points = {"points": [[10, 10], [60.5, 12], [55, 70], [12, 66]], "closed": True}
    ellipse = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 30}
    shapes = [
        ("rect", "rectanglelabels", {**box, "rotation": 0, "rectanglelabels": ["apple"]}),
        ("rect", "rectanglelabels", {**box, "rotation": 33.3, "rectanglelabels": ["m"]}),
        ("poly", "polygonlabels", {**points, "polygonlabels": ["leaf"]}),
        ("poly", "polygonlabels", {**points, "polygonlabels": ["apple"]}),
        ("brush", "brushlabels", {"format": "rle", "rle": rle, "brushlabels": ["mug"]}),
        ("bits", "bitmasklabels", {"imageDataURL": _picture(mask), "bitmasklabels": ["apple"]}),
        ("ell", "ellipselabels", {**ellipse, "ellipselabels": ["apple"]}),
        ("point", "keypointlabels", {"x": 5, "y": 5, "width": 0.4, "keypointlabels": ["apple"]}),
        *_pair("1", "r", "rectangle", {**box, "rotation": 5}),
        *_pair("2", "p", "polygon", points),
        *_pair("3", "b", "brush", {"format": "rle", "rle": rle}),
        *_pair("4", "e", "ellipse", ellipse),
        ("c", "choices", {"choices": ["yes"]}),
    ]
    return [_region(str(number), *shape) for number, shape in enumerate(shapes)]


def _picture(mask: BoxMask) -> str:
    """A mask as the editor's bitmask tool draws it, in a data: URL."""
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[mask.full(SIZE), 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _pair(id_: str, name: str, kind: str, value: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A shape and its label, which have one id."""
    return [
        (name, kind, value, f"pair{id_}"),
        ("labels", "labels", {**value, "labels": ["book"]}, f"pair{id_}"),
    ]


def _region(
    number: str, name: str, kind: str, value: dict[str, Any], id_: str | None = None
) -> dict[str, Any]:
    place = {"original_width": SIZE[1], "original_height": SIZE[0], "image_rotation": 0}
    region = {"id": id_ or number, "from_name": name, "to_name": "image", "type": kind, "value": value}
    return json.loads(json.dumps({**region, **place, "score": 0.9, "origin": "manual"}))  # type: ignore[no-any-return]
