"""Figures of a ranking of findings against the errors that were injected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.overlap import box_iou
from fbnetv3.review import LabelIssue
from measuring.injection import KIND_OF, Error, Injected

SAME_OBJECT = 0.5
"""IoU of a finding's box with the dropped object's."""

FIRST = 20
"""Findings that a person looks at before giving up."""


@dataclass(frozen=True)
class Figures:
    """`average_precision` of the ranking, 0..1; `precision`: of its first findings, of which there
    may be fewer than are looked at; `errors`: how many there are."""

    average_precision: float
    precision: float
    errors: int


def figures(found: Sequence[LabelIssue], errors: Sequence[Injected], error: Error | None) -> Figures:
    """Of the findings of one kind of error, None: of all findings, whatever kind they call it.

    `found`: the likeliest first. A second finding about the same error counts neither way.
    """
    wanted = [one for one in errors if error in (None, one.error)]
    named = [one for one in found if error is None or one.kind == KIND_OF[error]]
    hits = _hits(named, wanted)
    if not wanted or not hits:
        return Figures(0.0, 0.0, len(wanted))
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    average = float((precision * hits).sum() / len(wanted))
    first = min(FIRST, len(wanted))
    return Figures(average, sum(hits[:first]) / first, len(wanted))


def right(found: Sequence[LabelIssue], errors: Sequence[Injected]) -> tuple[int, int]:
    """How many findings are about an error, and how many findings there are without repeated ones."""
    hits = _hits(found, errors)
    return sum(hits), len(hits)


def _hits(found: Sequence[LabelIssue], wanted: Sequence[Injected]) -> list[bool]:
    """Whether each finding is about an error, without those about one that was found before."""
    left = dict(enumerate(wanted))
    known: set[int] = set()
    hits = []
    for finding in found:
        about = [
            number for number, one in left.items() if one.image == finding.image and _about(finding, one)
        ]
        new = [number for number in about if number not in known]
        if about and not new:
            continue
        hits.append(bool(new))
        known |= set(new[:1])
    return hits


def _about(finding: LabelIssue, one: Injected) -> bool:
    if finding.objects:
        return one.object == finding.objects[0]
    return (
        one.error in ("drop", "shift")
        and finding.box is not None
        and bool(box_iou(finding.box[None], one.box[None])[0, 0] >= SAME_OBJECT)
    )
