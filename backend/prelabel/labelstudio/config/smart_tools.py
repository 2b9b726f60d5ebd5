"""The tags that a labelling config lacks for smart tools: rectangles and clicks that are answered with a region.

Label Studio offers a smart rectangle for every RectangleLabels, a smart key point for every KeyPointLabels, unless they
say smart="false"; and so for a Rectangle or KeyPoint with the labels of a Labels tag on its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from xml.sax.saxutils import quoteattr

from prelabel.labelstudio.config.control_spec import predicted_shape
from prelabel.labelstudio.config.object_controls import label_tags
from prelabel.labelstudio.config.repeaters import flags_of_names
from prelabel.labelstudio.config.tags import Tag, image_key_of, parse_config, read_flag
from prelabel.labelstudio.shapes import SMART_TOOLS, SmartTool

COPIED_ATTRIBUTES = "value", "alias", "background"
"""Of a label: what it is called and looks like. Hot keys stay with the label that has them."""

EXPLANATION = (
    'smart="true" offers the tool while Auto-Annotation is on;',
    'smartOnly="true" offers no other tool with these labels;',
    'model_skip="true" keeps pre-labels, and training, to the other tags.',
)


def missing_tools(label_config: str) -> str:
    """Tags to paste into a labelling config before its last </View>, so that everything that is pre-labelled can be had
    by drawing a box and by clicking; empty where nothing is missing. Raises LabelConfigError.
    """
    return _missing(label_config, on_pages=False)


def missing_page_tools(label_config: str) -> str:
    """The same for the images in a Repeater, to paste before its </Repeater>. Raises LabelConfigError."""
    return _missing(label_config, on_pages=True)


def _missing(label_config: str, on_pages: bool) -> str:
    tags = list(parse_config(label_config).controls or ())
    flags = flags_of_names(label_config)
    taken = {tag.name for tag in tags}
    snippets = []
    for image in dict.fromkeys(name for tag in tags for name in tag.to_name if _is_filled(tag, name)):
        if (image in flags) != on_pages:
            continue
        suffix = "".join(f"_{flag}" for flag in flags.get(image, ()))
        wanted = _labels((tag for tag in tags if _is_filled(tag, image)), image, tags)
        for tool in SMART_TOOLS:
            offered = _labels((tag for tag in tags if _is_tool(tag, tool, image)), image, tags)
            lacking = [attributes for name, attributes in wanted.items() if name not in offered]
            if lacking:
                name = _free_name(tool.name, suffix, taken)
                taken.add(name)
                snippets.append(_snippet(tool, name, image, lacking))
    return "".join(snippets)


def _is_filled(tag: Tag, image: str) -> bool:
    """Whether the tag gets regions on this image."""
    if not predicted_shape(tag) or image not in tag.to_name or read_flag(tag, "model_skip"):
        return False
    return bool(image_key_of(tag.find_object_by_name(image))[0])


def _is_tool(tag: Tag, tool: SmartTool, image: str) -> bool:
    same = tag.tag.lower() in tool.types and image in tag.to_name
    return same and ("smart" not in tag.attr or read_flag(tag, "smart"))


def _labels(some: Iterable[Tag], image: str, tags: Sequence[Tag]) -> dict[str, Mapping[str, str]]:
    """What regions of some of the tags call their labels on an image -> the labels' attributes, each once."""
    labelling = (
        one
        for tag in some
        for one in label_tags(tag, image, tags)
        if one is tag or not read_flag(one, "model_skip")
    )
    return {name: label.attr for one in labelling for name, label in one.labels_attrs.items()}


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    numbered = (f"{name}{number}{suffix}" for number in count(2))
    return next(one for one in chain([name + suffix], numbered) if one not in taken)


def _snippet(tool: SmartTool, name: str, image: str, labels: Sequence[Mapping[str, str]]) -> str:
    rows = "".join(f"  <Label {_copied(attributes)}/>\n" for attributes in labels)
    head = f"<{tool.labelled_tag} name={quoteattr(name)} toName={quoteattr(image)} {tool.attributes}>"
    return f"{head}\n{rows}</{tool.labelled_tag}>\n"


def _copied(attributes: Mapping[str, str]) -> str:
    kept = (name for name in COPIED_ATTRIBUTES if attributes.get(name))
    return " ".join(f"{name}={quoteattr(attributes[name])}" for name in kept)
