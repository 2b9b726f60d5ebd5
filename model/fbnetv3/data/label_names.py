"""When two labels have the same name: case, surrounding spaces and the form of accents make no difference."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def folded(name: str) -> str:
    """What equal names have in common."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def in_spelling_of(wanted: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """`labels` with those that are among `wanted` but for their spelling spelled as there; the others stay.

    A label that is exactly there is preferred to one that differs, and no label of `wanted` is given twice.
    """
    free = {folded(label): label for label in reversed(wanted) if label not in labels}
    return tuple(label if label in wanted else free.pop(folded(label), label) for label in labels)
