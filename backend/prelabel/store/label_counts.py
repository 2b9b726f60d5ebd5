"""Projects that were heard of, and how many labels each has gained that no run has come to a decision on."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from prelabel.store.database import Base, Database


class LabelCount(Base):
    """One project. `accepted`: labels that people submitted and that no run that came to a decision had read."""

    __tablename__ = "label_counts"

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    accepted: Mapped[int] = mapped_column(default=0)


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


def count_labels(session: Session, project_id: int, accepted: int) -> None:
    """Add labels to a project's count, 0 only to know the project; within a transaction of the caller."""
    if not _add(session, project_id, accepted):
        try:
            with session.begin_nested():
                session.execute(insert(LabelCount).values(project_id=project_id, accepted=accepted))
        except IntegrityError:  # somebody else has just added the project
            _add(session, project_id, accepted)


def take_labels(session: Session, project_id: int, number: int) -> None:
    """Take labels off a project's count; within a transaction of the caller."""
    _add(session, project_id, -number)


def note_project(database: Database, project_id: int) -> None:
    """Know a project from now on, so that its labels are also asked for by the timer."""
    with database.session() as session:
        count_labels(session, project_id, 0)


def known_projects(database: Database) -> list[int]:
    """Every project that was heard of."""
    with database.session() as session:
        return list(session.scalars(select(LabelCount.project_id).order_by(LabelCount.project_id)))


def _add(session: Session, project_id: int, accepted: int) -> bool:
    statement = update(LabelCount).where(LabelCount.project_id == project_id)
    statement = statement.values(accepted=LabelCount.accepted + accepted)
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
