"""A labelling config for a detector: every label it knows, as boxes, as masks where it makes them, and smart tools."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from prelabel.labelstudio.shapes import BOX_TOOL, POINT_TOOL, SHAPE_OF_TAG

GOLDEN_ANGLE = 0.618034
"""Of a turn of the colour wheel: labels that follow each other get colours that are far apart."""

MASKS = SHAPE_OF_TAG["brush"].labelled_tag, "mask", "Masks", ' smart="false"'
BOXES = BOX_TOOL.labelled_tag, "box", "Boxes", ' smart="true" opacity="0.05" strokeWidth="2"'
CLICKS = POINT_TOOL.labelled_tag, "click", "Clicks", f" {POINT_TOOL.attributes}"
"""Tag, name, heading and style: boxes are outlines, so that the masks in them stay visible. Boxes and clicks
are smart tools; brushes are none, because Label Studio sends nothing of a smart brush."""


def label_config(labels: Sequence[str], *, has_masks: bool) -> str:
    """A labelling config with a box for every label, a mask where the network makes them, and smart tools for both."""
    styles = (MASKS, BOXES, CLICKS) if has_masks else (BOXES, CLICKS)
    controls = "".join(_control(labels, *style) for style in styles)
    return f'<View>\n  <Image name="image" value="$image" zoom="true"/>\n{controls}</View>\n'


def colour(index: int) -> str:
    """The colour of a label, `#rrggbb`."""
    hue = (0.02 + index * GOLDEN_ANGLE) % 1
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue, 0.5, 0.85))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _control(labels: Sequence[str], tag: str, name: str, heading: str, style: str) -> str:
    rows = "".join(
        f"      <Label value={quoteattr(label)} background={quoteattr(colour(index))}/>\n"
        for index, label in enumerate(labels)
    )
    return (
        '  <View style="display: flex; gap: 24px; align-items: baseline">\n'
        f'    <Header value="{heading}" size="5"/>\n'
        f'    <{tag} name="{name}" toName="image"{style}>\n{rows}    </{tag}>\n'
        "  </View>\n"
    )
