"""What Label Studio's answers look like, as far as prelabel reads them: one check of each when it arrives.

A proxy's page, a Label Studio that is about to go down or one of another version answers 200 with something else, and
that must be one sentence wherever it is read, not an error of Python's somewhere later. A field that is there must have
its type; one that is missing is told when it is asked for, so answers may lack what nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args

from prelabel.labelstudio.errors import LabelStudioError

NAMES: dict[Any, str] = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Record:
    """A JSON object. `name`: with its article; `fields`: those that are read."""

    name: str
    fields: Mapping[str, Form]


@dataclass(frozen=True)
class ListOf:
    """A JSON list whose items all have one form."""

    item: Form


@dataclass(frozen=True)
class MapOf:
    """A JSON object with any names, whose values all have one form."""

    value: Form


Form = Record | ListOf | MapOf | type | UnionType
"""Types are those that Python's json makes; a float may be a whole number."""


class Answer(dict[str, Any]):
    """A JSON object of an answer; asking for a field that it lacks raises LabelStudioError. `origin`: what it is."""

    def __init__(self, values: Mapping[str, Any], origin: str) -> None:
        super().__init__(values)
        self._origin = origin

    def __missing__(self, field: str) -> Any:
        raise LabelStudioError(f"{self._origin} without {field!r}: {REMEDY}")


REMEDY = "see its log, and what stands before it at LABEL_STUDIO_URL"


def checked(value: Any, form: Form, call: str, path: str = "") -> Any:
    """The value, its records as `Answer`. `call`: the request that it is the answer to, such as "GET /api/version";
    `path`: where in the answer it is. Raises LabelStudioError.
    """
    if isinstance(form, Record) and isinstance(value, dict):
        fields = {
            name: checked(one, form.fields[name], call, f"{path}.{name}") if name in form.fields else one
            for name, one in value.items()
        }
        return Answer(fields, f"Label Studio answered {call} with {form.name}")
    if isinstance(form, ListOf) and isinstance(value, list):
        return [checked(one, form.item, call, f"{path}[{index}]") for index, one in enumerate(value)]
    if isinstance(form, MapOf) and isinstance(value, dict):
        return {name: checked(one, form.value, call, f"{path}.{name}") for name, one in value.items()}
    if isinstance(form, type | UnionType) and _is(value, form):
        return value
    where = f" at {path.lstrip('.')}" if path else ""
    raise LabelStudioError(
        f"Label Studio answered {call} with {NAMES[type(value)]} instead of {_name(form)}{where}: {REMEDY}"
    )


def _is(value: Any, form: type | UnionType) -> bool:
    types = get_args(form) or (form,)
    return type(value) in types or (float in types and type(value) is int)


def _name(form: Form) -> str:
    if isinstance(form, Record):
        return form.name
    if isinstance(form, ListOf):
        return "a list"
    if isinstance(form, MapOf):
        return "an object"
    return " or ".join(NAMES[one] for one in get_args(form) or (form,))
