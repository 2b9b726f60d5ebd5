"""Training runs: what is known of them. `run_progress` changes them.

A project has at most one queued and at most one unfinished run. The column `slot` holds that whatever happens at
the same moment in other threads, processes and hosts: it is unique, and NULL once a run has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String, Text, exists, func, select
from sqlalchemy.orm import Mapped, aliased, mapped_column

from prelabel.errors import PrelabelError
from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.label_counts import LabelCount

RUNS_SHOWN = 100


class RunState(StrEnum):
    """Where a run stands. The last four are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    JUDGED = "judged"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What a running run is doing, in this order."""

    LABELS = "reading labels"
    TRAINING = "training"
    JUDGING = "judging"
    PROMOTING = "promoting"


UNFINISHED = (RunState.RUNNING, RunState.JUDGED)
DECIDED = (RunState.PROMOTED, RunState.REJECTED)
ENDS = (RunState.PROMOTED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED)


class RunError(PrelabelError):
    """What is asked of a run cannot be; the message is one sentence."""


class Run(Base):
    """One training run. `requested_by`: what triggered it, in words. `accepted`: labelled tasks that Label
    Studio counted when the labels were read. `counted`: the project's count of new labels then, or at the end of a run
    that did not come to reading; 0 once a run has come to a decision on them. `starts_by`: until when it waits for
    more labels of the same burst; None: it starts at once. `starts`: processes started since it last came further than
    ever. `retry_at`: when the project is trained again, because this run failed.
    """

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))
    slot: Mapped[str | None] = mapped_column(String(32), unique=True)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    requested_by: Mapped[str] = mapped_column(String(64))
    starts_by: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stage: Mapped[str | None] = mapped_column(String(32))
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    seconds_left: Mapped[float | None]
    reason: Mapped[str | None] = mapped_column(Text)
    snapshot_digest: Mapped[str | None] = mapped_column(String(64))
    accepted: Mapped[int | None]
    counted: Mapped[int | None]
    version: Mapped[str | None] = mapped_column(String(64))
    host: Mapped[str | None] = mapped_column(String(255))
    process_id: Mapped[int | None]
    heartbeat: Mapped[datetime | None] = mapped_column(UtcDateTime)
    furthest: Mapped[int] = mapped_column(default=-1)
    starts: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    retry_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def eta(self) -> str | None:
        """The time left of the stage, in words; None where it is not known."""
        if self.state != RunState.RUNNING or self.seconds_left is None:
            return None
        return f"{self.seconds_left:.0f} s" if self.seconds_left < 90 else f"{self.seconds_left / 60:.0f} min"


@dataclass(frozen=True)
class NewLabels:
    """Labels of a project that no run has come to a decision on. `tried`: of those, what was there for the last run
    that failed, was cancelled or is under way. `decided_on`: labelled tasks that the last run with a decision had read,
    `read`: those that the last run had read, whatever became of it."""

    counted: int = 0
    tried: int = 0
    decided_on: int = 0
    read: int = 0


def queued_run(database: Database, project_id: int) -> Run | None:
    """The run of this project that waits to be started."""
    with database.session() as session:
        return session.scalar(select(Run).where(Run.slot == slot_of(project_id, RunState.QUEUED)))


def has_open_run(database: Database, project_id: int) -> bool:
    """Whether a run of this project waits or is under way."""
    with database.session() as session:
        query = select(Run.id).where(Run.project_id == project_id, Run.slot.is_not(None)).limit(1)
        return session.scalar(query) is not None


def open_runs(database: Database) -> list[Run]:
    """The runs of all projects that wait or are under way, in order."""
    with database.session() as session:
        return list(session.scalars(select(Run).where(Run.slot.is_not(None)).order_by(Run.id)))


def new_labels(database: Database, project_id: int) -> NewLabels:
    """Labels since the last decision; none where a run will read them: it waits, or has started and has not come to
    reading. One query."""
    queued, running = (slot_of(project_id, state) for state in (RunState.QUEUED, RunState.RUNNING))
    will_read = (Run.slot == queued) | ((Run.slot == running) & Run.accepted.is_(None))
    of_project = Run.project_id == project_id
    tried = select(func.max(Run.counted)).where(of_project)
    read = select(Run.accepted).where(of_project, Run.accepted.is_not(None)).order_by(Run.id.desc()).limit(1)
    columns = (one.scalar_subquery() for one in (tried, read.where(Run.state.in_(DECIDED)), read))
    query = select(LabelCount.accepted, *columns).where(LabelCount.project_id == project_id)
    with database.session() as session:
        row = session.execute(query.where(~exists().where(will_read))).one_or_none()
    return NewLabels(*(number or 0 for number in row)) if row else NewLabels()


def get_run(database: Database, run_id: int) -> Run:
    """Raises RunError where there is none with this id."""
    with database.session() as session:
        run = session.get(Run, run_id)
    if run is None:
        raise RunError(f"There is no run {run_id}: `prelabel runs list` shows the runs.")
    return run


def list_runs(database: Database, project_id: int | None = None, limit: int = RUNS_SHOWN) -> list[Run]:
    """The newest runs first, of one project or of all."""
    query = select(Run).order_by(Run.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(Run.project_id == project_id)
    with database.session() as session:
        return list(session.scalars(query))


def queued_runs(database: Database) -> list[Run]:
    """What waits to be started, in order."""
    return _in_state(database, RunState.QUEUED)


def unfinished_runs(database: Database) -> list[Run]:
    """What was started and has not ended, whether its process lives or not, in order."""
    return _in_state(database, *UNFINISHED)


def last_trained(database: Database, project_id: int) -> Run | None:
    """The last run of this project that came to a decision."""
    return _last(database, Run.project_id == project_id, Run.state.in_(DECIDED))


def last_read(database: Database, project_id: int) -> Run | None:
    """The last run of this project that read the labels, however it ended."""
    return _last(database, Run.project_id == project_id, Run.accepted.is_not(None))


def failures_in_a_row(database: Database, project_id: int) -> int:
    """Runs of this project that failed since one ended in another way."""
    ended = aliased(Run)
    others = (*DECIDED, RunState.CANCELLED)
    since = select(func.max(ended.id)).where(ended.project_id == project_id, ended.state.in_(others))
    query = select(func.count()).where(
        Run.project_id == project_id,
        Run.state == RunState.FAILED,
        Run.id > func.coalesce(since.scalar_subquery(), 0),
    )
    with database.session() as session:
        return session.scalar(query) or 0


def retries_due(database: Database, now: datetime) -> list[Run]:
    """Failed runs whose project is to be trained again by now, and is not about to be."""
    opened = aliased(Run)
    is_open = exists().where(opened.project_id == Run.project_id, opened.slot.is_not(None))
    with database.session() as session:
        return list(session.scalars(select(Run).where(Run.retry_at <= now, ~is_open).order_by(Run.id)))


def slot_of(project_id: int, state: RunState) -> str:
    """What a project has once at most: a queued run, and an unfinished one."""
    return f"{project_id} {state}"


def _in_state(database: Database, *states: RunState) -> list[Run]:
    with database.session() as session:
        return list(session.scalars(select(Run).where(Run.state.in_(states)).order_by(Run.id)))


def _last(database: Database, *conditions: Any) -> Run | None:
    with database.session() as session:
        return session.scalar(select(Run).where(*conditions).order_by(Run.id.desc()).limit(1))
