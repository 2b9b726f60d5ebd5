"""What prelabel cannot follow in a labelling config, in words, and what to use instead.

The one place for these sentences: /setup's log, `connect`, `annotate` and `doctor` show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config.xml import attribute, read_xml
from prelabel.labelstudio.shapes import LABELS, POINT_TOOL, SHAPE_OF_TAG, SHAPES
from prelabel.labelstudio.urls import shown_url

FILLED = f"{', '.join(shape.labelled_tag for shape in reversed(SHAPES))} or Choices"
"""The tags to use instead of others."""

DRAWN = {name for shape in SHAPES for name in shape.own_types}
"""Tags that get regions, in lower case; those without a label have it from a Labels tag on the same image."""

LABELLING = {*(shape.labelled_type for shape in SHAPES), LABELS, "choices"}
"""Tags with labels or choices of their own, in lower case."""

TOOLS = {
    **dict.fromkeys(POINT_TOOL.types, f"a point is no object: use {FILLED}, beside which it is a smart tool"),
    **{
        tag.lower(): f"it paints {shape.bare_type} masks: add a {shape.tag} or {shape.labelled_tag} tag on the "
        "same image"
        for shape in SHAPES
        for tag in shape.also
    },
}
"""Tags that draw nothing of their own beside a tag that gets regions."""

INSTEAD = {
    "vector": "lines are not predicted: use PolygonLabels",
    "vectorlabels": "lines are not predicted: use PolygonLabels",
    "videorectangle": "videos are not looked at: import their frames as images and use RectangleLabels",
    "videovector": "videos are not looked at: import their frames as images and use PolygonLabels",
    "videovectorlabels": "videos are not looked at: import their frames as images and use PolygonLabels",
    "timelinelabels": "videos are not looked at: import their frames as images and use Choices",
    "ocrlabels": "use RectangleLabels",
    "taxonomy": "nested choices are not supported: use Choices",
    "pairwise": 'comparisons are not supported: use Choices such as "left" and "right"',
    "ranker": "rankings are not supported: use Choices",
    "rating": "ratings are not supported: use Choices with one choice for each rating",
}
"""Tags that are drawn or chosen with and never filled, in lower case, and why not."""

OBJECTS = {"video": "import its frames as images", "pdf": "import its pages as images"}
"""What to do with objects that could be images, in lower case."""

LISTED = 8
"""Tags that are named where nothing can be filled."""


def image_problem(tag: Any) -> str:
    """Why an object tag is no image to look at: the rest of a sentence about it."""
    if tag is None:
        return "is not an Image tag: the config has no such tag with a value"
    if tag.tag.lower() != "image":
        remedy = OBJECTS.get(tag.tag.lower(), "show an image with an Image tag")
        return f"is not an Image tag but {tag.tag}, which is not looked at: {remedy}"
    if variable := tag.attr.get("valueList"):
        return (
            f"shows a list of images (valueList), which is not supported: use "
            f'<Repeater on="{variable}"> around an Image with value="{variable}[{{{{idx}}}}]"'
        )
    return (
        f"has a fixed value ({shown_url(tag.value)}) instead of a $variable: name the key of the task's data that "
        'holds the address, such as value="$image"'
    )


def unsupported(interface: LabelInterface) -> Iterator[str]:
    """A sentence for each tag that is drawn or chosen with and gets nothing, or not all that it could."""
    controls = list(interface.controls or ())
    for tag in controls:
        kind = tag.tag.lower()
        beside = {one.tag.lower() for one in controls if set(one.to_name) & set(tag.to_name)}
        if reason := _not_followed(kind) or _needs_another(kind, beside):
            yield f"{tag.tag} {tag.name!r} gets no pre-labels: {reason}"
        elif tag.dynamic_value and kind in LABELLING and _is_on_image(tag):
            child = "Choice" if kind == "choices" else "Label"
            yield (
                f"{tag.tag} {tag.name!r} takes labels from the task ({tag.attr.get('value') or 'apiUrl'}), which is "
                f"not supported: write them into the config as {child} tags"
            )


def without_name(label_config: str) -> Iterator[str]:
    """A sentence for each tag that could be filled and does not say what it is called, or which image it is on."""
    root = read_xml(label_config)
    for element in root.iter() if root is not None else ():
        if element.tag.lower() not in DRAWN | LABELLING:
            continue
        for needed in ("name", "toName"):
            if not attribute(element, needed):
                called = attribute(element, "name")
                tag = f"{element.tag} {called!r}" if called else element.tag
                yield f"{tag} is left out: it has no {needed}, without which its regions belong nowhere"
                break


def same_on_every_page(name: str, missing: Sequence[str]) -> str:
    """A sentence about a tag in a Repeater, whose name lacks these flags."""
    return (
        f"{name!r} has the same name on every page of its Repeater, so only the last page is followed: "
        f"call it {'_'.join([name, *missing])!r}"
    )


def nothing_to_fill(interface: LabelInterface) -> str:
    """A sentence about a config without a tag that can be filled, with the tags that it has."""
    tags = [
        f"{tag.tag} {tag.name!r} on {_object(tag, name)} {name!r}"
        for tag in interface.controls or ()
        for name in tag.to_name
    ]
    found = f", only {', '.join(tags[:LISTED])}" if tags else ""
    more = f" and {len(tags) - LISTED} more" if len(tags) > LISTED else ""
    return (
        f"there is no {FILLED} on an image that can be looked at{found}{more}: nothing will be pre-labelled"
    )


def _not_followed(kind: str) -> str:
    """Why a tag is never filled; empty for the others."""
    return "" if kind in SHAPE_OF_TAG else INSTEAD.get(kind, "")


def _needs_another(kind: str, beside: set[str]) -> str:
    """Why a tag can do nothing without another one on the same image; empty where that is there."""
    if kind in TOOLS:
        return "" if beside & DRAWN else TOOLS[kind]
    if kind in DRAWN - LABELLING and LABELS not in beside:
        instead = SHAPE_OF_TAG[kind].labelled_tag
        return f"no Labels tag labels what it draws: add one on the same image, or use {instead}"
    return ""


def _is_on_image(tag: Any) -> bool:
    return any(one.tag.lower() == "image" for one in tag.objects)


def _object(tag: Any, name: str) -> str:
    found = tag.find_object_by_name(name)
    return found.tag if found else "nothing called"
