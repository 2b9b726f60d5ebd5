"""One finding of a review: what looks wrong, where, and what would put it right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from prelabel.errors import PrelabelError

Box = tuple[float, float, float, float]
Source = Literal["annotation", "prediction"]
Decision = Literal["accepted", "dismissed"]

ID_LENGTH = 10
"""Hex digits: among 10,000 findings two have one id with a chance of one in 20,000."""

DIGEST_LENGTH = 16
CONFIDENCE_DIGITS = 4
BOX_DIGITS = 2
"""Decimals of a pixel in what tells objects apart: far below what a person can move a box by."""


IN_PREDICTIONS = {"spurious": "unsure", "badly_placed": "unusual size"}
"""Kinds in words, where they say something else of what a model made."""

NAMES_IN_JSON = {"image_ref": "place"}
"""Fields of findings that files and the database call otherwise: they had this name when the first were written."""


class ReviewError(PrelabelError):
    """A review that cannot be done: one sentence, with the remedy in it."""


@dataclass(frozen=True)
class ImageRef:
    """One image: of a task, under a key of its data; or of a COCO data set. `file`: its name on disk, if it has one."""

    file: str
    task: int | None = None
    image_key: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells images apart, whatever their files are called."""
        return (self.file,) if self.task is None else (self.task, self.image_key)

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.file if self.task is None else f"task {self.task}, {self.image_key}"


@dataclass(frozen=True)
class ReviewFinding:
    """Something about a label, or where one is missing, that a person should look at.

    `confidence`: 0..1 that it is wrong. `source`: who made the label, a person or a model; `made_in`: the id of their
    annotation or prediction. `regions`: ids in it of what the finding is about, `objects` their indices in the image,
    `labels` and `boxes` (x0, y0, x1, y1 in pixels) what they say now, `content` digests that change with them; all
    empty where something was overlooked. `label` and `box`: what should be there, None where that is nothing, or
    what is there already. `decision`: "accepted" until the label is corrected.
    """

    id: str
    kind: str
    confidence: float
    source: Source
    image_ref: ImageRef
    made_in: int | None
    regions: tuple[str, ...]
    objects: tuple[int, ...]
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]
    label: str | None
    box: Box | None
    content: tuple[str, ...]
    decision: Decision | None = None

    @property
    def correction(self) -> str:
        """What to do about it, in a few words."""
        now = ", ".join(dict.fromkeys(self.labels))
        if not self.objects:
            return f"add {self.label}"
        if self.kind == "duplicate":
            return f"keep one {now}"
        if self.label is not None and (self.label,) != self.labels:
            return f"{now} -> {self.label}"
        if self.source == "prediction":
            return f"check {now}"
        return f"remove {now}" if self.box is None else f"move {now}"

    @property
    def title(self) -> str:
        """The kind in words."""
        words = self.kind.replace("_", " ")
        return words if self.source == "annotation" else f"prediction: {IN_PREDICTIONS.get(self.kind, words)}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, where `image_ref` is called `place`."""
        fields = {NAMES_IN_JSON.get(name, name): value for name, value in asdict(self).items()}
        return fields | {"correction": self.correction}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ReviewFinding:
        """What `as_dict` gave, after JSON. Raises KeyError and TypeError for anything else."""
        fields = {name: record[NAMES_IN_JSON.get(name, name)] for name in cls.__dataclass_fields__}
        for name in ("regions", "objects", "labels", "content"):
            fields[name] = tuple(fields[name])
        fields["boxes"] = tuple(tuple(box) for box in fields["boxes"])
        fields["box"] = tuple(fields["box"]) if fields["box"] is not None else None
        return cls(**fields | {"image_ref": ImageRef(**fields["image_ref"])})


def object_digest(label: str, box: Box, mask: Any) -> str:
    """What changes when somebody changes an object's label, box or mask; `mask` is anything of JSON's."""
    return _digest([label, _rounded(box), mask], DIGEST_LENGTH)


def finding_id(
    scope: str, image_ref: ImageRef, source: Source, kind: str, what: tuple[str, ...] | Box
) -> str:
    """The same for the same finding in every review of `scope`. `what`: digests of its objects, in any order, or the
    box in which something is missing.
    """
    content = sorted(str(one) for one in what) if what and isinstance(what[0], str) else _rounded(what)
    return _digest([scope, image_ref.key, source, kind, content], ID_LENGTH)


def _rounded(box: Any) -> list[float]:
    return [round(float(side), BOX_DIGITS) for side in box]


def _digest(value: Any, length: int) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
