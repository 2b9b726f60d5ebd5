"""What people changed by prelabel's pages: who, when, what, and what came of it. Rows are never changed or removed."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from prelabel.store.database import Base, Database, UtcDateTime

MOST_SHOWN = 200

MAX_NAME_LENGTH = 255


class Action(Base):
    """One change. `who`: the user that Basic authentication let in, else the address that it came from. `action`: what
    was asked for, `of`: of which run, version or finding, "" where the project is enough; `result`: what was done, or
    why it was not, in a sentence.
    """

    __tablename__ = "actions"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    who: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    project_id: Mapped[int | None] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(64))
    of: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    result: Mapped[str] = mapped_column(Text)


def record_action(
    database: Database, who: str, project_id: int | None, action: str, of: str, result: str
) -> None:
    """Add a change to the log."""
    row = Action(
        at=datetime.now(UTC),
        who=who[:MAX_NAME_LENGTH],
        project_id=project_id,
        action=action,
        of=of[:MAX_NAME_LENGTH],
        result=result,
    )
    with database.session() as session:
        session.add(row)


def list_actions(database: Database, project_id: int | None = None, limit: int = MOST_SHOWN) -> list[Action]:
    """The newest changes first, of one project or of all."""
    query = select(Action).order_by(Action.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(Action.project_id == project_id)
    with database.session() as session:
        return list(session.scalars(query))
