"""The one table of shapes: which tags draw one, what its regions are called, what reads and what writes it; and of the
tags that smart tools are drawn with.

A new shape is a file with `read` and `write`, and a row here: predictions, labels, edits, smart tools and the sentences
about a labelling config ask this table and have no list of tags of their own.

A tag such as Rectangle leaves the label to a Labels tag on the same image; RectangleLabels has labels of its own. The
type of a region is its tag's name in lower case, which is also the key of the labels in its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from fbnetv3.instances import Instances
from prelabel.labelstudio.shapes import bitmask, brush, ellipse, polygon, rectangle
from prelabel.labelstudio.shapes.geometry import Drawn, Size, Value

LABELS = "labels"
"""The Labels tag in lower case, the type of its results and their key of the labels."""


@dataclass(frozen=True, eq=False)
class DrawingTag:
    """A tag that draws regions. `tag`: its name without a label of its own."""

    tag: str

    @property
    def labelled_tag(self) -> str:
        """The name of the tag that also labels what it draws."""
        return f"{self.tag}Labels"

    @property
    def bare_type(self) -> str:
        """The type of regions whose label is a result of its own."""
        return self.tag.lower()

    @property
    def labelled_type(self) -> str:
        """The type of regions with their label, and the key of the labels in their value."""
        return self.bare_type + LABELS

    @property
    def own_types(self) -> tuple[str, str]:
        """The types of the regions that the tag itself draws, with and without a label."""
        return self.labelled_type, self.bare_type

    @property
    def types(self) -> tuple[str, ...]:
        """All types of its regions."""
        return self.own_types


@dataclass(frozen=True, eq=False)
class Shape(DrawingTag):
    """One shape. `also`: tags that draw the same and are read, never written.

    `key`: one that the value of every region of it has. `read`: a region's value and (height, width) of the image ->
    box and mask; raises RegionError, or KeyError, TypeError and the like where the value is incomplete. `write`:
    instances, the index of one and the tolerance of polygons -> the values that show it, of which there may be none.
    `masks`: what regions are made from: only from masks, from masks where there are some, or from boxes. `in_pieces`:
    one object may be several regions, joined by `parentID`.
    """

    key: str
    read: Callable[[Value, Size], Drawn]
    write: Callable[[Instances, int, float], Iterator[Value]]
    masks: Literal["unused", "used", "needed"]
    in_pieces: bool = False
    also: tuple[str, ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """All types of its regions, those of `also` last."""
        return (*self.own_types, *(tag.lower() for tag in self.also))

    @property
    def is_outline(self) -> bool:
        """Whether people draw it around an object by its corners or pixels, which takes longer than a drag."""
        return self.masks == "needed"


SHAPES = (
    Shape("Bitmask", "imageDataURL", bitmask.read, bitmask.write, masks="needed"),
    Shape("Brush", "rle", brush.read, brush.write, masks="needed", also=("MagicWand",)),
    Shape("Polygon", "points", polygon.read, polygon.write, masks="needed", in_pieces=True),
    Shape("Ellipse", "x", ellipse.read, ellipse.write, masks="used"),
    Shape("Rectangle", "x", rectangle.read, rectangle.write, masks="unused"),
)
"""From the exact form of an object to the coarse: where several show one, the first mask and the last box count."""

SHAPE_OF_TAG = {name: shape for shape in SHAPES for name in shape.types}
"""Tag in lower case, which is the type of its regions -> its shape."""


@dataclass(frozen=True, eq=False)
class SmartTool(DrawingTag):
    """A tag that an object is asked for with. `name`, `attributes`: of the tag that is proposed where none is there."""

    name: str
    attributes: str


BOX_TOOL = SmartTool("Rectangle", "smart_box", 'smart="true" smartOnly="true" model_skip="true"')
POINT_TOOL = SmartTool("KeyPoint", "smart_point", 'smart="true" smartOnly="true"')
"""Rectangles are objects too, so their tool says that its regions are none; key points never are."""

SMART_TOOLS = BOX_TOOL, POINT_TOOL
