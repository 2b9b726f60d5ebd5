"""What an Image tag's `value` stands for in a task's data, filled in as Label Studio's editor does: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prelabel.labelstudio.urls import shown_url

VARIABLE = re.compile(r"\$[\w\[\].{}-]+")
"""A variable in a value: a key of the task's data, or a path such as $shots[0].url. The editor's own pattern, which
does not know hyphens; keys that have some are found all the same."""

STEP = re.compile(r"[^.\[\]]+")


def image_key(value: str) -> str:
    """What names an image in a task's data: photo for "$photo", the value itself for one that variables are a part of
    ("http://host/$file"), empty for one without a variable."""
    value = value.strip()
    if VARIABLE.fullmatch(value):
        return value[1:]
    return value if VARIABLE.search(value) else ""


def image_value(data: Mapping[str, Any], image_key: str) -> Any:
    """The task data under `image_key`: literally, as a path of keys and indices (shots[0].url), or with its variables
    filled in; None if something of it is missing."""
    if image_key in data:
        return data[image_key]
    if "$" in image_key:
        return _filled(image_key, data)
    return _at(data, image_key)


def data_with(image_key: str, value: str) -> dict[str, Any]:
    """A task's data that has this under `image_key` and nothing else. Raises ValueError where one value is not enough:
    for a later item of a list, and for a value that variables are a part of."""
    if "[" not in image_key and "$" not in image_key:
        return {image_key: value}
    steps = re.findall(r"\[\w*\]|[^.\[\]]+", image_key)
    indices = {step for step in steps if step.startswith("[")}
    if "$" in image_key or steps[0] == "[0]" or indices != {"[0]"}:
        raise ValueError(image_key)
    found: Any = value
    for step in reversed(steps):
        found = [found] if step == "[0]" else {step: found}
    return dict(found)


def shown_key(image_key: str) -> str:
    """An image key for a message: no user, no password, no query of an address."""
    return shown_url(image_key) if "$" in image_key else image_key


def _at(data: Any, path: str) -> Any:
    for step in STEP.findall(path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, Sequence) and not isinstance(data, str) and step.isdecimal():
            index = int(step[:9])
            data = data[index] if index < len(data) else None
        else:
            return None
    return data


def _filled(template: str, data: Mapping[str, Any]) -> str | None:
    """A value with its variables replaced; None where one of them is no text and no number."""
    texts = {name: _text(image_value(data, name[1:])) for name in VARIABLE.findall(template)}
    if None in texts.values():
        return None
    return VARIABLE.sub(lambda found: str(texts[found[0]]), template)


def _text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int | float) and value != "" else None
