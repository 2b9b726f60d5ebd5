"""The text of a labelling config as a tree of elements, and in the spelling that the SDK reads.

Label Studio's editor takes names of tags and attributes in any case; the SDK knows one spelling of each.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

MAX_DEPTH = 100
"""Tags in tags. Nobody nests as many; the SDK's parser gives up at 256."""

TAGS = {name.lower(): name for name in ("Label", "Choice")}

ATTRIBUTES = {
    name.lower(): name
    for name in (
        "name",
        "toName",
        "value",
        "valueList",
        "alias",
        "apiUrl",
        "choice",
        "smart",
        "smartOnly",
        "predicted_values",
        "model_score_threshold",
        "model_skip",
    )
}
"""The attributes that are read by their names, by the SDK or by prelabel."""


def read_xml(label_config: str) -> Element | None:
    """The root of a labelling config, without comments; None where it is not XML, or nested deeper than MAX_DEPTH.

    A config with a document type is not read: entities could make it grow without bound, and Label Studio takes none.
    """
    if "<!DOCTYPE" in label_config.upper():
        return None
    try:
        root = ElementTree.fromstring(label_config)
    except (ElementTree.ParseError, ValueError):
        return None
    return root if _depth(root) <= MAX_DEPTH else None


def attribute(element: Element, name: str) -> str:
    """An attribute, its name in any case; empty where there is none."""
    wanted = name.lower()
    return next((text for found, text in element.attrib.items() if found.lower() == wanted), "")


def respelled(label_config: str) -> str:
    """The config with tags and attributes as the SDK spells them; as it is where that changes nothing."""
    root = read_xml(label_config)
    changed = [_respell(element) for element in root.iter()] if root is not None else []
    if root is None or not any(changed):
        return label_config
    return ElementTree.tostring(root, "unicode")


def _respell(element: Element) -> bool:
    """Whether something was spelled otherwise."""
    tag = TAGS.get(element.tag.lower(), element.tag)
    attributes = {ATTRIBUTES.get(name.lower(), name): text for name, text in element.attrib.items()}
    if (tag, list(attributes)) == (element.tag, list(element.attrib)):
        return False
    element.tag, element.attrib = tag, attributes
    return True


def _depth(root: Element) -> int:
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for element in level for child in element]
    return depth
