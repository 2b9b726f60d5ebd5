"""Projects that were heard of, how many labels each has gained that no run has come to a decision on, and how often its
labels have changed."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from prelabel.store.database import Base, Database


class LabelCount(Base):
    """One project. `accepted`: labels that people submitted and that no run that came to a decision had read.

    `changes`: events after which its labels, or what its labelling config makes of them, may be others than before.
    """

    __tablename__ = "label_counts"

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    accepted: Mapped[int] = mapped_column(default=0)
    changes: Mapped[int] = mapped_column(default=0, server_default="0")


NO_OBJECTS = ("keypoint", "vector")
"""Beginnings of the types of regions that no object is learnt from."""

LABEL_CHANGES = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        "TASKS_DELETED",
        "PROJECT_UPDATED",
    }
)
"""Label Studio's events after which the labels of a project may be others."""


def accepted_labels(payload: Any) -> int:
    """How many labels an event says were submitted; skipped ones and changed ones are none."""
    if not isinstance(payload, dict) or payload.get("action") not in (
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
    ):
        return 0
    said = payload.get("annotation")
    annotations = said if isinstance(said, list) else [said]
    return sum(isinstance(one, dict) and not one.get("was_cancelled") for one in annotations)


def most_regions(payload: Any) -> int:
    """How many boxes and masks the label of an event has on one image; of several labels, the one with most."""
    said = payload.get("annotation") if isinstance(payload, dict) else None
    annotations = said if isinstance(said, list) else [said]
    return max((_regions(one) for one in annotations if isinstance(one, dict)), default=0)


def changes_labels(payload: Any) -> bool:
    """Whether a project's labels may be others after this event."""
    return isinstance(payload, dict) and payload.get("action") in LABEL_CHANGES


def count_labels(session: Session, project_id: int, accepted: int, changes: int = 0) -> None:
    """Add to a project's counts, 0 only to know the project; within a transaction of the caller."""
    if not _add(session, project_id, accepted, changes):
        try:
            with session.begin_nested():
                row = {"project_id": project_id, "accepted": accepted, "changes": changes}
                session.execute(insert(LabelCount).values(**row))
        except IntegrityError:  # somebody else has just added the project
            _add(session, project_id, accepted, changes)


def take_labels(session: Session, project_id: int, number: int) -> None:
    """Take labels off a project's count; within a transaction of the caller."""
    _add(session, project_id, -number)


def note_project(database: Database, project_id: int) -> None:
    """Know a project from now on, so that its labels are also asked for by the timer."""
    with database.session() as session:
        count_labels(session, project_id, 0)


def note_change(database: Database, project_id: int) -> None:
    """The project's labels are others than before, though no webhook told of it."""
    with database.session() as session:
        count_labels(session, project_id, 0, changes=1)


def known_projects(database: Database) -> list[int]:
    """Every project that was heard of."""
    with database.session() as session:
        return list(session.scalars(select(LabelCount.project_id).order_by(LabelCount.project_id)))


def _regions(annotation: dict[str, Any]) -> int:
    """Only a region of an image states the image's size; several results may be of one. Pages count apart."""
    result = annotation.get("result")
    found = [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []
    regions = {
        (str(one.get("item_index")), str(one.get("id")))
        for one in found
        if "original_width" in one and not str(one.get("type")).startswith(NO_OBJECTS)
    }
    return max(Counter(page for page, _ in regions).values(), default=0)


def _add(session: Session, project_id: int, accepted: int, changes: int = 0) -> bool:
    statement = update(LabelCount).where(LabelCount.project_id == project_id)
    statement = statement.values(
        accepted=LabelCount.accepted + accepted, changes=LabelCount.changes + changes
    )
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
