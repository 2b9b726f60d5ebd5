"""What somebody drew with a smart tool, read from the `context` of an interactive request.

Label Studio sends every drawn shape that is still waiting for an answer, of one tool and one label: rectangles, each of
which asks for an object of its own, or key points, which together describe one object. Pure: nothing here looks at
an image, and nothing but the context is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from prelabel.errors import PrelabelError
from prelabel.labelstudio.shapes import BOX_TOOL, LABELS, POINT_TOOL
from prelabel.labelstudio.shapes.geometry import RegionError, clipped, turned_corners

MAX_SHAPES = 50
"""More than anybody draws before looking at the answers."""

FARTHEST = 1000.0
"""Percent of the image: a rotated box may reach over its edge, ten images away nothing is meant."""

TYPE_LENGTH = 40


class PromptError(PrelabelError):
    """A context that no object can be looked for with: one sentence."""


@dataclass(frozen=True)
class Tool:
    """The control that was drawn with, the image that it is on, and the label that was picked."""

    from_name: str
    to_name: str
    label: str


@dataclass(frozen=True)
class BoxPrompt:
    """A drawn box: percent of the image, `rotation` in degrees clockwise about its top left corner."""

    tool: Tool
    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0

    def box(self, image_size: tuple[int, int]) -> Array:
        """x0, y0, x1, y1 (4,) float32 in pixels of an image (height, width): the box around the rotated one, cut at
        the edge of the image. Raises PromptError where nothing is left."""
        scale = np.array(image_size[::-1]) / 100
        width, height = np.array([self.width, self.height]) * scale
        corners = turned_corners(np.array([self.x, self.y]) * scale, width, height, self.rotation)
        try:
            return np.array(clipped(corners, image_size), np.float32)
        except RegionError:
            raise PromptError("The drawn box lies outside the image.") from None


@dataclass(frozen=True)
class PointsPrompt:
    """Clicks (x, y) in percent of the image; `positive` ones are on the object, the others beside it."""

    tool: Tool
    points: tuple[tuple[float, float], ...]
    positive: tuple[bool, ...]

    def pixels(self, image_size: tuple[int, int]) -> Array:
        """The points (n, 2) float32, x, y in pixels of an image (height, width)."""
        height, width = image_size
        return (np.array(self.points) * (width / 100, height / 100)).astype(np.float32)


Prompt = BoxPrompt | PointsPrompt


def read_prompts(context: Any) -> tuple[Prompt, ...]:
    """What the context asks for: a prompt per box, or one of all points; none where nothing is drawn any more.

    Raises PromptError.
    """
    shapes = _shapes(context)
    drawn = [shape for shape in shapes if shape.get("type") != LABELS]
    types = {str(shape.get("type"))[:TYPE_LENGTH] for shape in drawn}
    if unknown := types - {*BOX_TOOL.types, *POINT_TOOL.types}:
        raise PromptError(f"Smart tools answer rectangles and key points, not {', '.join(sorted(unknown))}.")
    labels = _labels_by_id(shapes)
    if types <= {*BOX_TOOL.types}:
        return tuple(_box(shape, labels) for shape in drawn)
    if types <= {*POINT_TOOL.types}:
        return (_points(drawn, labels),)
    raise PromptError("Rectangles and key points came together, and only one kind is answered at a time.")


def _shapes(context: Any) -> list[Mapping[str, Any]]:
    result = context.get("result") if isinstance(context, Mapping) else None
    if not isinstance(result, list) or not all(isinstance(shape, Mapping) for shape in result):
        raise PromptError("The context of a smart tool must have a 'result', a list of drawn shapes.")
    if len(result) > MAX_SHAPES:
        raise PromptError(f"More than {MAX_SHAPES} shapes wait for an answer: accept or reject some first.")
    return result


def _labels_by_id(shapes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The labels of shapes whose label is a result of its own, as a Labels tag makes it."""
    labelling = [shape for shape in shapes if shape.get("type") == LABELS]
    return {str(shape.get("id")): _value(shape).get(LABELS) for shape in labelling}


def _box(shape: Mapping[str, Any], labels: Mapping[str, Any]) -> BoxPrompt:
    tool, value = _tool(shape, labels), _value(shape)
    x, y, width, height = (_number(value, name) for name in ("x", "y", "width", "height"))
    if width <= 0 or height <= 0:
        raise PromptError("The drawn box has no area.")
    rotation = _number(value, "rotation") if "rotation" in value else 0.0
    return BoxPrompt(tool, x, y, width, height, rotation)


def _points(shapes: Sequence[Mapping[str, Any]], labels: Mapping[str, Any]) -> PointsPrompt:
    tools = {_tool(shape, labels) for shape in shapes}
    if len(tools) > 1:
        raise PromptError("Key points of several controls, images or labels do not describe one object.")
    points = tuple((_number(_value(shape), "x"), _number(_value(shape), "y")) for shape in shapes)
    if not all(0 <= part <= 100 for point in points for part in point):
        raise PromptError("A key point lies outside the image.")
    positive = tuple(_is_positive(shape) for shape in shapes)
    if not any(positive):
        raise PromptError("None of the key points is on the object: click it without Alt first.")
    return PointsPrompt(tools.pop(), points, positive)


def _tool(shape: Mapping[str, Any], labels: Mapping[str, Any]) -> Tool:
    from_name, to_name = shape.get("from_name"), shape.get("to_name")
    if not isinstance(from_name, str) or not isinstance(to_name, str):
        raise PromptError("A drawn shape does not say which control (from_name) on which image (to_name).")
    value = _value(shape)
    picked = value.get(str(shape.get("type"))) or value.get(LABELS) or labels.get(str(shape.get("id")))
    if not isinstance(picked, list) or not picked or not isinstance(picked[0], str):
        raise PromptError("The drawn shape has no label: pick one before drawing.")
    return Tool(from_name, to_name, picked[0])


def _value(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    value = shape.get("value")
    if not isinstance(value, Mapping):
        raise PromptError("A drawn shape has no value.")
    return value


def _number(value: Mapping[str, Any], name: str) -> float:
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float) or not -FARTHEST <= number <= FARTHEST:
        raise PromptError(f"The {name} of a drawn shape is missing or no number that an image can have.")
    return float(number)


def _is_positive(shape: Mapping[str, Any]) -> bool:
    positive = shape.get("is_positive", True)
    if not isinstance(positive, bool):
        raise PromptError("is_positive of a key point must be true or false.")
    return positive
