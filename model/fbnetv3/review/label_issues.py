"""A label issue: one label that looks wrong, how sure that is, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask

#: An object without a label; an object with another's label; a box or mask that does not fit its object; a label
#: where there is no object; a second label of one object.
IssueKind = Literal["overlooked", "swapped_label", "badly_placed", "spurious", "duplicate"]


@dataclass(frozen=True, eq=False)
class LabelIssue:
    """One label that looks wrong.

    `confidence` (0..1): how likely a person is to change it, comparable across kinds. `image`: the index of its
    example. `objects`: indices of the labelled objects that it is about, none where one was overlooked; of a duplicate
    the one to delete comes first and the one to keep second. `label`, `box` (4,) x0, y0, x1, y1 in pixels of the
    image and `mask`: what the model would have instead, None where that part stays or is to be deleted.
    """

    kind: IssueKind
    confidence: float
    image: int
    objects: tuple[int, ...]
    label: str | None = None
    box: Array | None = None
    mask: BoxMask | None = None
