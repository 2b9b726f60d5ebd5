"""The provisional versions of projects: one row each, for the newest. They are no versions: no run made them, no gate
judged them, and the first promotion of the project ends them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import JSON, Exists, Select, String, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.label_counts import LabelCount
from prelabel.store.versions import PromotionRow

TO_BE_READ_AGAIN = -1
"""In the place of the number of changes: for want of Label Studio not everything could be read."""

NAME = re.compile(r"p(?P<project>[1-9]\d{0,9})-provisional-(?P<number>[1-9]\d{0,8})", re.ASCII)
"""`p`, the project's id, `-provisional-`, a number that rises with every one of the project."""


@dataclass(frozen=True)
class ProvisionalVersion:
    """A project's newest one. `base`: the version of the base weights under it. `sha256`: of its file.

    `made_from`: a digest of the labels and images. `images`: how many.
    """

    project_id: int
    number: int
    sha256: str
    base: str
    labels: tuple[str, ...]
    images: int
    made_from: str
    created_at: datetime

    @property
    def name(self) -> str:
        """What people and Label Studio call it."""
        return name_of(self.project_id, self.number)


@dataclass(frozen=True)
class LabelsRead:
    """What was known when labels were read, before the first of them was. `changes`: of the project's labels, as
    webhooks told of them. `labelled`: tasks with labels, as Label Studio counted them; None where it did not say.
    """

    changes: int
    labelled: int | None


class ProvisionalRow(Base):
    """One project. `number`: of the newest that it ever had; `sha256`: None where it has none now. `files`: names of
    those that are kept. `changes`, `labelled`: see LabelsRead.
    """

    __tablename__ = "provisional_versions"

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    base: Mapped[str | None] = mapped_column(String(255))
    labels: Mapped[list[str]] = mapped_column(JSON, default=list)
    images: Mapped[int] = mapped_column(default=0)
    made_from: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    files: Mapped[list[str]] = mapped_column(JSON, default=list)
    changes: Mapped[int] = mapped_column(default=0)
    labelled: Mapped[int | None]


def name_of(project_id: int, number: int) -> str:
    """The name of a provisional version."""
    return f"p{project_id}-provisional-{number}"


def is_provisional(name: str | None) -> bool:
    """Whether this is the name of a provisional version, of whatever project."""
    return NAME.fullmatch(name or "") is not None


def provisional_version(database: Database, project_id: int) -> ProvisionalVersion | None:
    """What answers for the project in the place of the base weights; None: nothing does."""
    return next(iter(_read(database, project_id)), None)


def provisional_versions(database: Database) -> list[ProvisionalVersion]:
    """Those of all projects that never had a promotion."""
    return _read(database)


def find_provisional(database: Database, name: str) -> ProvisionalVersion | None:
    """The one of this name, None where it is not (any more) its project's newest."""
    match = NAME.fullmatch(name)
    found = provisional_version(database, int(match["project"])) if match else None
    return found if found and found.name == name else None


def given_names(database: Database, project_id: int) -> list[str]:
    """Every name of a provisional version that the project ever had."""
    return [name_of(project_id, number) for number in range(1, newest_number(database, project_id) + 1)]


def newest_number(database: Database, project_id: int) -> int:
    """The highest number that was given; 0 before the first."""
    with database.session() as session:
        return session.scalar(select(ProvisionalRow.number).filter_by(project_id=project_id)) or 0


def projects_to_make(database: Database) -> dict[int, int]:
    """Project -> how often its labels have changed, where that was since they were read for its provisional version,
    and there was never a promotion."""
    read = func.coalesce(ProvisionalRow.changes, 0)
    wanted = (
        select(LabelCount.project_id, LabelCount.changes)
        .outerjoin(ProvisionalRow, ProvisionalRow.project_id == LabelCount.project_id)
        .where(LabelCount.changes != read, ~_is_promoted(LabelCount.project_id))
        .order_by(LabelCount.project_id)
    )
    with database.session() as session:
        return {row.project_id: row.changes for row in session.execute(wanted)}


def label_changes(database: Database, project_id: int) -> int:
    """How often the project's labels have changed, as far as webhooks told."""
    with database.session() as session:
        return session.scalar(select(LabelCount.changes).filter_by(project_id=project_id)) or 0


def labelled_when_read(database: Database, project_id: int) -> int:
    """The tasks that had labels when they were read last for a provisional version."""
    with database.session() as session:
        return session.scalar(select(ProvisionalRow.labelled).filter_by(project_id=project_id)) or 0


def kept_files(database: Database, project_id: int) -> list[str]:
    """The names of the files that are the project's, oldest first."""
    with database.session() as session:
        row = session.get(ProvisionalRow, project_id)
        return list(row.files) if row else []


def put_version(database: Database, version: ProvisionalVersion, file: str, read: LabelsRead) -> None:
    """Make this the project's newest. `file`: its name."""
    with database.session() as session:
        row = _row(session, version.project_id)
        row.number, row.sha256, row.base = version.number, version.sha256, version.base
        row.labels, row.images, row.made_from = list(version.labels), version.images, version.made_from
        row.created_at = version.created_at.astimezone(UTC)
        row.files = [*row.files, file]
        row.changes, row.labelled = read.changes, read.labelled


def note_read(database: Database, project_id: int, read: LabelsRead, *, has_labels: bool = True) -> None:
    """The labels were read and nothing new came of them. `has_labels`: False where none can be learnt from, so that
    the base weights answer again.
    """
    with database.session() as session:
        row = _row(session, project_id)
        row.changes, row.labelled = read.changes, read.labelled
        if not has_labels:
            row.sha256 = row.made_from = None


def set_kept_files(database: Database, project_id: int, files: list[str]) -> None:
    """These are left."""
    with database.session() as session:
        _row(session, project_id).files = files


def is_promoted(database: Database, project_id: int) -> bool:
    """Whether the project ever had a promotion, so that its provisional version is history."""
    with database.session() as session:
        return bool(session.scalar(select(exists().where(PromotionRow.project_id == project_id))))


def _is_promoted(project_id: InstrumentedAttribute[int]) -> Exists:
    return exists().where(PromotionRow.project_id == project_id)


def _row(session: Session, project_id: int) -> ProvisionalRow:
    row = session.get(ProvisionalRow, project_id)
    if row is None:
        row = ProvisionalRow(project_id=project_id, number=0, labels=[], images=0, files=[], changes=0)
        session.add(row)
    return row


def _read(database: Database, project_id: int | None = None) -> list[ProvisionalVersion]:
    wanted: Select[ProvisionalRow] = select(ProvisionalRow).where(
        ProvisionalRow.sha256.is_not(None), ~_is_promoted(ProvisionalRow.project_id)
    )
    if project_id is not None:
        wanted = wanted.where(ProvisionalRow.project_id == project_id)
    with database.session() as session:
        rows = session.scalars(wanted.order_by(ProvisionalRow.created_at.desc())).all()
    return [_to_version(row) for row in rows]


def _to_version(row: ProvisionalRow) -> ProvisionalVersion:
    return ProvisionalVersion(
        row.project_id,
        row.number,
        row.sha256 or "",
        row.base or "",
        tuple(row.labels),
        row.images,
        row.made_from or "",
        row.created_at or datetime.now(UTC),
    )
