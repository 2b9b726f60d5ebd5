"""Repeater tags written out for one task: a labelling config in which every page has tags of its own.

    <Repeater on="$images" indexFlag="{{idx}}">
      <Image name="page_{{idx}}" value="$images[{{idx}}]"/>
    </Repeater>

becomes a View per item of the task's list, with the number of the item for the flag, as Label Studio's editor makes
it. Pure: no I/O.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from prelabel.labelstudio.config.image_values import image_key, image_value, shown_key
from prelabel.labelstudio.config.xml import attribute, read_xml

REPEATER = "repeater"
DEFAULT_FLAG = "{{idx}}"
"""What the editor takes for the number of a page where no indexFlag is given."""

WITHOUT_LIST = (
    'Repeater has no list of pages: name the key of the task\'s data that holds it, such as on="$images"'
)

NAME_IN_CONFIG = "prelabel_name"
"""The attribute in which a tag of a page keeps the name that it has in the config."""

MAX_PAGES = 500
"""Pages of one task. To look at more takes longer than the 100 s that Label Studio waits for a prediction."""

MAX_TAGS = 50_000
"""Tags of one written-out config: 500 pages of 100 labels, which take 2 s to read. Repeaters in repeaters multiply."""


@dataclass(frozen=True)
class TaskConfig:
    """A labelling config as it is for one task. `problems`: a sentence for each list of pages that is missing or too
    long."""

    xml: str
    problems: tuple[str, ...] = ()


def expand(label_config: str, data: Any) -> TaskConfig:
    """The config for a task with this data. One without a Repeater, and what is no XML, stays as it is."""
    root = _with_repeater(label_config)
    if root is None:
        return TaskConfig(label_config)
    expansion = _Expansion(data if isinstance(data, Mapping) else {})
    expanded = expansion.written_out(root)
    return TaskConfig(ElementTree.tostring(expanded, "unicode"), tuple(dict.fromkeys(expansion.problems)))


def repeaters_without_list(label_config: str) -> bool:
    """Whether a Repeater does not say which of the task's lists its pages are."""
    root = _with_repeater(label_config)
    found = (one for one in root.iter() if _is_repeater(one)) if root is not None else ()
    return any(not image_key(attribute(one, "on")) for one in found)


def names_on_several_pages(expanded: str) -> list[str]:
    """Names of tags in a written-out config that stand on several pages: whose region is on which cannot be told."""
    root = read_xml(expanded)
    elements = root.iter() if root is not None else ()
    count = Counter(attribute(one, "name") for one in elements if NAME_IN_CONFIG in one.attrib)
    return [name for name, times in count.items() if times > 1]


def has_repeater(label_config: str) -> bool:
    """Whether there is something to write out."""
    return _with_repeater(label_config) is not None


def first_page(label_config: str, image_key: str) -> str:
    """The key of the task data that an image's key stands for on the first page, for one in a Repeater."""
    root = _with_repeater(label_config)
    for _, flags in _repeated(root, ()) if root is not None else ():
        for flag in flags:
            image_key = image_key.replace(flag, "0")
    return image_key


def flags_of_names(label_config: str) -> dict[str, tuple[str, ...]]:
    """Name -> flags, for the tags in a Repeater; a flag is what the number of the page replaces, one per Repeater that
    the tag is in."""
    root = read_xml(label_config)
    elements = _repeated(root, ()) if root is not None else ()
    return {name: flags for element, flags in elements if (name := attribute(element, "name"))}


def missing_flags(name: str, flags: Sequence[str]) -> list[str]:
    """The flags without which a tag has the same name on several pages."""
    missing = []
    for flag in flags:
        missing += [] if flag in name else [flag]
        name = name.replace(flag, "", 1)
    return missing


def _repeated(element: Element, flags: tuple[str, ...]) -> Iterator[tuple[Element, tuple[str, ...]]]:
    """Every element in a Repeater with the flags of those, from the outside in."""
    if flags:
        yield element, flags
    inner = (*flags, _flag(element)) if _is_repeater(element) else flags
    for child in element:
        yield from _repeated(child, inner)


def _is_repeater(element: Element) -> bool:
    """Whether this is a Repeater tag."""
    return element.tag.lower() == REPEATER


def _with_repeater(label_config: str) -> Element | None:
    """The root of a config with a Repeater; None for any other."""
    if not isinstance(label_config, str) or REPEATER not in label_config.lower():
        return None
    root = read_xml(label_config)
    return root if root is not None and any(_is_repeater(one) for one in root.iter()) else None


class _Expansion:
    """One config being written out for one task's data."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._pages = 0
        self._tags = 0
        self.problems: list[str] = []

    def written_out(self, element: Element, numbers: Mapping[str, int] | None = None) -> Element:
        """The element without Repeaters. `numbers`: flag -> page, for an element that is right in a Repeater."""
        self._tags += 1
        if numbers:
            _replace(element, numbers)
        if _is_repeater(element):
            return self._views(element, numbers or {})
        made = Element(element.tag, element.attrib)
        made.text, made.tail = element.text, element.tail
        made.extend([self.written_out(child) for child in element])
        return made

    def _views(self, repeater: Element, numbers: Mapping[str, int]) -> Element:
        """A View with a View for each item of the Repeater's list."""
        key, flag = image_key(attribute(repeater, "on")), _flag(repeater)
        items = self._items(repeater, key)
        made = Element("View")
        for number in range(len(items)):
            if self._pages >= MAX_PAGES or self._tags >= MAX_TAGS:
                self.problems.append(
                    f"{shown_key(key)}: only the first {number} of its {len(items)} pages are looked at, "
                    "which is as many as one task may have; split the task"
                )
                break
            self._pages += 1
            made.append(self._page(repeater, flag, number, numbers))
        return made

    def _page(self, repeater: Element, flag: str, number: int, numbers: Mapping[str, int]) -> Element:
        page = Element("View")
        for child in repeater:
            template = copy.deepcopy(child)
            for element in template.iter():
                if name := attribute(element, "name"):
                    element.attrib.setdefault(NAME_IN_CONFIG, name)
                _replace(element, {flag: number})
            page.append(self.written_out(template, {**numbers, flag: number}))
        return page

    def _items(self, repeater: Element, key: str) -> list[Any]:
        items = image_value(self._data, key) if key else None
        if isinstance(items, list) and items:
            return items
        if any(element.tag.lower() == "image" for element in repeater.iter()):
            why = "is empty" if isinstance(items, list) else "is not in the task, or is no list"
            self.problems.append(
                f"{shown_key(key)}: The task has no image: the list of its pages {why}."
                if key
                else WITHOUT_LIST
            )
        return []


def _flag(repeater: Element) -> str:
    return attribute(repeater, "indexFlag") or DEFAULT_FLAG


def _replace(element: Element, numbers: Mapping[str, int]) -> None:
    """Put numbers for flags into the attributes; of each flag the first in an attribute, as the editor does."""
    for name, text in element.attrib.items():
        if name == NAME_IN_CONFIG:
            continue
        for flag, number in numbers.items():
            text = text.replace(flag, str(number), 1)
        element.attrib[name] = text
