"""What reading a file came upon, for people: what was repaired, and what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from fbnetv3.data.coco import CocoError

EXAMPLES = 3
"""So many records are named of each kind of repair."""


@dataclass
class Notes:
    """Collects sentences. `strict`: the first label or image that is left out is an error."""

    strict: bool = False
    left_out: list[str] = field(default_factory=list)
    labels_left_out: int = 0
    images_left_out: int = 0
    _repairs: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _remarks: list[str] = field(default_factory=list)

    def repair(self, kind: str, name: str, what: str) -> None:
        """`kind`: of record, in the singular; `name`: which one; `what`: it had, and became."""
        self._repairs.setdefault((kind, what), []).append(name)

    def remark(self, sentence: str) -> None:
        """Something about the file as a whole."""
        self._remarks.append(sentence)

    def leave_out(self, sentence: str, *, labels: int = 0, images: int = 0) -> None:
        """So many labels and images, for one reason. Raises CocoError where that is not allowed."""
        if self.strict:
            raise CocoError(f"is refused because of --strict: {sentence}")
        self.left_out.append(sentence)
        self.labels_left_out += labels
        self.images_left_out += images

    @property
    def repaired(self) -> list[str]:
        """A sentence for each kind of repair."""
        kinds = [f"{_subject(kind, names)}: {what}" for (kind, what), names in self._repairs.items()]
        return [*self._remarks, *kinds]


def _subject(kind: str, names: list[str]) -> str:
    """ "annotation 4", "annotations 4, 5, 6 and 30 more"."""
    if len(names) == 1:
        return f"{kind} {names[0]}"
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    plural = "categories" if kind == "category" else f"{kind}s"
    return f"{plural} {', '.join(names[:EXAMPLES])}{more}"
