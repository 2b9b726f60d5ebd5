"""The shapes that people draw and prelabel draws: one file for each, one table of all of them (`table`)."""

from __future__ import annotations

from prelabel.labelstudio.shapes.geometry import PERCENT_DIGITS, Box, Drawn, RegionError, Value
from prelabel.labelstudio.shapes.table import LABELS, SHAPE_OF_TAG, SHAPES, Shape

__all__ = [
    "LABELS",
    "PERCENT_DIGITS",
    "SHAPES",
    "SHAPE_OF_TAG",
    "Box",
    "Drawn",
    "RegionError",
    "Shape",
    "Value",
]
