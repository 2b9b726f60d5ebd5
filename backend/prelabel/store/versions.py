"""The model versions of projects. A version's row is never changed or removed.

Which version serves a project is what its newest promotion says, so there are never two. A promotion without a
version gives the project back to the base weights.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Select,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.version_details import VersionJudgement, VersionPlan

NAME = re.compile(r"p(?P<project>[1-9]\d{0,9})-v(?P<number>[1-9]\d{0,8})", re.ASCII)
"""The name of a version: `p`, the project's id, `-v`, the version's number."""


BASE = "base"
"""What people call the base weights where the name of a version is asked for."""


class VersionState(StrEnum):
    """What became of a version. `candidate`: the gate let it pass, and it was not promoted yet."""

    CANDIDATE = "candidate"
    SERVING = "serving"
    RETIRED = "retired"
    REJECTED = "rejected"


@dataclass(frozen=True)
class NewVersion:
    """What is stored of a version. `run_id`: of the run that made it. `digest`: of the checkpoint's content.

    `sha256`: of its weights file, None where the gate rejected it: then no weights are kept. `reason`: the gate's.
    """

    project_id: int
    number: int
    run_id: int | None
    digest: str
    sha256: str | None
    snapshot_digest: str
    labels: tuple[str, ...]
    judgement: VersionJudgement
    plan: VersionPlan
    reason: str

    @property
    def name(self) -> str:
        """What people and Label Studio call it."""
        return f"p{self.project_id}-v{self.number}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, and for the columns of the row."""
        details = {"judgement": self.judgement.as_dict(), "plan": self.plan.as_dict()}
        columns = {one.name: getattr(self, one.name) for one in fields(NewVersion)}
        return columns | {"labels": list(self.labels)} | details


@dataclass(frozen=True)
class Version(NewVersion):
    """A stored version, its state as of when it was read."""

    id: int
    created_at: datetime
    state: VersionState


class VersionRow(Base):
    """One version; the columns are those of NewVersion."""

    __tablename__ = "versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    number: Mapped[int]
    run_id: Mapped[int | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    digest: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(64))
    snapshot_digest: Mapped[str] = mapped_column(String(64))
    labels: Mapped[list[str]] = mapped_column(JSON)
    judgement: Mapped[dict[str, Any]] = mapped_column(JSON)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("project_id", "number"),)


class PromotionRow(Base):
    """One promotion; `published_at` is set when Label Studio has followed, `refreshed_at` then too, to the moment at
    which the refresh began."""

    __tablename__ = "promotions"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    promoted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refreshed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_promotions_project_id_id", "project_id", "id"),)


def serving_version(database: Database, project_id: int) -> Version | None:
    """The version that answers for the project; None where the base weights do."""
    with database.session() as session:
        version_id = serving_id(session, project_id)
        return None if version_id is None else _read(session, select(VersionRow).filter_by(id=version_id))[0]


def project_versions(database: Database, project_id: int) -> list[Version]:
    """The project's versions, oldest first."""
    with database.session() as session:
        return _read(session, select(VersionRow).filter_by(project_id=project_id).order_by(VersionRow.number))


def find_version(database: Database, name: str) -> Version | None:
    """The version of this name, None where there is none."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    wanted = select(VersionRow).filter_by(project_id=int(match["project"]), number=int(match["number"]))
    with database.session() as session:
        return next(iter(_read(session, wanted)), None)


def version_of_run(database: Database, run_id: int) -> Version | None:
    """The version that this run made, None where it made none."""
    with database.session() as session:
        return next(iter(_read(session, select(VersionRow).filter_by(run_id=run_id))), None)


def next_number(database: Database, project_id: int) -> int:
    """The number of the project's next version: rows are never removed, so none comes twice."""
    with database.session() as session:
        newest = session.scalar(select(func.max(VersionRow.number)).filter_by(project_id=project_id))
        return (newest or 0) + 1


def add_version(database: Database, version: NewVersion) -> Version:
    """Store a version; where its run has one already, or its number is taken, an IntegrityError is raised."""
    with database.session() as session:
        row = VersionRow(created_at=datetime.now(UTC), **version.as_dict())
        session.add(row)
        session.flush()
        return _read(session, select(VersionRow).filter_by(id=row.id))[0]


def serving_id(session: Session, project_id: int) -> int | None:
    """The row of the version that serves a project; None for the base weights."""
    promotions = select(PromotionRow.version_id).filter_by(project_id=project_id)
    return session.scalar(promotions.order_by(PromotionRow.id.desc()).limit(1))


def _read(session: Session, wanted: Select[VersionRow]) -> list[Version]:
    rows = session.scalars(wanted).all()
    serving = {serving_id(session, project_id) for project_id in {row.project_id for row in rows}}
    promoted = _promoted_ids(session, [row.id for row in rows])
    return [_to_version(row, state_of(row.id, row.sha256, serving, promoted)) for row in rows]


def _promoted_ids(session: Session, ids: Sequence[int]) -> set[int | None]:
    return set(session.scalars(select(PromotionRow.version_id).where(PromotionRow.version_id.in_(ids))))


def state_of(
    version_id: int, sha256: str | None, serving: Collection[int | None], promoted: Collection[int | None]
) -> VersionState:
    """What became of a version. `serving`, `promoted`: the ids of versions that serve, and of all that ever did."""
    if version_id in serving:
        return VersionState.SERVING
    if version_id in promoted:
        return VersionState.RETIRED
    return VersionState.REJECTED if sha256 is None else VersionState.CANDIDATE


def _to_version(row: VersionRow, state: VersionState) -> Version:
    return Version(
        row.project_id,
        row.number,
        row.run_id,
        row.digest,
        row.sha256,
        row.snapshot_digest,
        tuple(row.labels),
        VersionJudgement.from_dict(row.judgement),
        VersionPlan.from_dict(row.plan),
        row.reason,
        id=row.id,
        created_at=row.created_at,
        state=state,
    )
