"""What the last review of a project found, and what people decided about it.

Findings that nobody decided about are those of the last review; decisions stay for ever: a label that is changed and
changed back is still what was decided about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from prelabel.store.database import Base, Database, UtcDateTime


class ReviewFindingRow(Base):
    """One finding. `record`: as the review described it; `decision`: "accepted", "dismissed" or NULL. `is_current`: the
    last review reported it.
    """

    __tablename__ = "review_findings"

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    finding_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_current: Mapped[bool]
    decision: Mapped[str | None] = mapped_column(String(16))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def review_findings(database: Database, project_id: int) -> list[ReviewFindingRow]:
    """The findings of the project's last review, and all that were decided about."""
    with database.session() as session:
        return list(session.scalars(select(ReviewFindingRow).filter_by(project_id=project_id)))


def keep_findings(database: Database, project_id: int, records: Mapping[str, dict[str, Any]]) -> None:
    """Make these, by their ids, the findings of the last review; decisions stay as they are."""
    with database.session() as session:
        own = ReviewFindingRow.project_id == project_id
        session.execute(delete(ReviewFindingRow).where(own, ReviewFindingRow.decision.is_(None)))
        session.execute(update(ReviewFindingRow).where(own).values(is_current=False))
        for finding_id, record in records.items():
            row = session.get(ReviewFindingRow, (project_id, finding_id))
            if row is None:
                row = ReviewFindingRow(project_id=project_id, finding_id=finding_id)
                session.add(row)
            row.record, row.is_current = record, True


def decide_finding(database: Database, project_id: int, finding_id: str, decision: str) -> bool:
    """Remember a decision; False where no review of the project found this."""
    with database.session() as session:
        row = session.get(ReviewFindingRow, (project_id, finding_id))
        if row is None:
            return False
        row.decision, row.decided_at = decision, datetime.now(UTC)
        return True
