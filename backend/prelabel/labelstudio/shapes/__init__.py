"""The shapes that people draw and prelabel draws: one file for each, one table of all of them (`table`)."""

from __future__ import annotations

from prelabel.labelstudio.shapes.geometry import PERCENT_DIGITS, Box, Drawn, RegionError, Value
from prelabel.labelstudio.shapes.table import (
    BOX_TOOL,
    LABELS,
    POINT_TOOL,
    SHAPE_OF_TAG,
    SHAPES,
    SMART_TOOLS,
    Shape,
    SmartTool,
)

__all__ = [
    "BOX_TOOL",
    "LABELS",
    "PERCENT_DIGITS",
    "POINT_TOOL",
    "SHAPES",
    "SHAPE_OF_TAG",
    "SMART_TOOLS",
    "Box",
    "Drawn",
    "RegionError",
    "Shape",
    "SmartTool",
    "Value",
]
