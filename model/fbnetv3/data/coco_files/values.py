"""Numbers, ids and texts as tools write them: text for numbers, floats for ids, anything for a flag."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

LARGEST_ID = 2**53
"""Beyond this, floats do not tell whole numbers apart, and COCO's evaluation keeps ids in floats."""

_WHOLE = re.compile(r"[+-]?\d{1,400}(\.0*)?")
_NO = {"", "0", "0.0", "false", "no", "none", "null"}
_YES = {"1", "1.0", "true", "yes"}


def number(value: Any) -> float | None:
    """A finite number, also from its text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(value: Any) -> list[float] | None:
    """A list's finite numbers; None where it is no list or has anything else in it."""
    if not isinstance(value, list):
        return None
    if all(type(one) is float for one in value) and all(map(math.isfinite, value)):
        return value  # as nearly all outlines are
    found = [number(one) for one in value]
    return None if None in found else [one for one in found if one is not None]


def identity(value: Any) -> int | None:
    """An id as a whole number: 5, 5.0, "5" and "005" are 5, another text stands for a number of its own.

    None for what is no id.
    """
    if isinstance(value, str):
        value = value.strip()
        if _WHOLE.fullmatch(value):
            value = int(value.split(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < LARGEST_ID else _stand_in(f"{value:x}")
    is_other = (isinstance(value, float) and math.isfinite(value)) or (isinstance(value, str) and bool(value))
    return _stand_in(str(value)) if is_other else None


def _stand_in(text: str) -> int:
    """The same number for the same text, for ever: it also decides what is held out."""
    return int.from_bytes(hashlib.sha256(clean_text(text).encode()).digest()[:6])


def flag(value: Any) -> bool | None:
    """Yes or no, however it is written; None for what is neither."""
    if value is None:
        return False
    if isinstance(value, bool | int | float):
        return bool(value)
    written = value.strip().casefold() if isinstance(value, str) else None
    if written in _NO:
        return False
    return True if written in _YES else None


def clean_text(value: Any) -> str:
    """Text without the halves of characters that cannot be encoded; numbers as text; else nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(identity(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def shown(value: Any) -> str:
    """A value in a message: the beginning of how Python writes it."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        return "..."
    return text if len(text) <= 60 else f"{text[:57]}..."
