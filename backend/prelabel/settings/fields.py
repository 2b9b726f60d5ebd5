"""What the groups of settings share: kinds of fields, and rules that hold for several of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel

MIB = 1 << 20
GIB = 1 << 30

AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

Group = TypeVar("Group", bound=BaseModel)


def environment_name(field: str) -> str:
    """The environment variable that a field of the settings is read from."""
    return field.upper()


def sizes_in_order(group: Group, shorter: str, longest: str) -> Group:
    """The group, where the field `shorter` is not larger than `longest` or one is not set. Raises ValueError."""
    sizes = getattr(group, shorter), getattr(group, longest)
    if all(sizes) and sizes[0] > sizes[1]:
        raise ValueError(f"{environment_name(shorter)} must not be larger than {environment_name(longest)}")
    return group


def comma_separated(value: Any) -> Any:
    """The parts of a text between commas, without spaces around them and empty ones; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
