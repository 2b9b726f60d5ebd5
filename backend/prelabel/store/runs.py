"""Training runs: what is asked for, how far it is, how it ended.

A project has at most one queued and at most one unfinished run. The column `slot` holds that whatever happens at
the same moment in other threads, processes and hosts: it is unique, and NULL once a run has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CursorResult, String, Text, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from prelabel.errors import PrelabelError
from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.label_counts import LabelCount, count_labels, take_labels

MAX_REASON_LENGTH = 1000
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
VERDICTS = (RunState.PROMOTED, RunState.REJECTED)
ENDS = (RunState.PROMOTED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED)
STEPS_PER_STAGE = 10**8
"""More than any stage has steps: a later stage is always further than an earlier one."""


class RunError(PrelabelError):
    """What is asked of a run cannot be; the message is one sentence."""


class Run(Base):
    """One training run. `requested_by`: what triggered it, in words. `accepted`: labelled tasks that Label
    Studio counted when the labels were read. `counted`: the project's count of new labels then, 0 once a run has come
    to a verdict on them. `starts`: processes started since it last came further than ever. `retry_at`: when the
    project is trained again, because this run failed.
    """

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))
    slot: Mapped[str | None] = mapped_column(String(32), unique=True)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    requested_by: Mapped[str] = mapped_column(String(64))
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
    """Labels of a project that no run has come to a verdict on. `tried`: of those, what the last run had read that
    failed, was cancelled or is under way."""

    counted: int = 0
    tried: int = 0


def request_run(database: Database, project_id: int, reason: str) -> Run:
    """The project's queued run: the one that waits already, else a new one. `reason`: the trigger, in words."""
    row = {
        "project_id": project_id,
        "state": RunState.QUEUED,
        "slot": _slot(project_id, RunState.QUEUED),
        "requested_at": datetime.now(UTC),
        "requested_by": reason[:64],
    }
    while True:
        if queued := queued_run(database, project_id):
            return queued
        try:
            with database.session() as session:
                session.add(run := Run(**row))
                session.flush()
                count_labels(session, project_id, 0)
                _forget_retries(session, project_id)
            return run
        except IntegrityError:  # another request was quicker, and its run may have been claimed since
            continue


def queued_run(database: Database, project_id: int) -> Run | None:
    """The run of this project that waits to be started."""
    with database.session() as session:
        return session.scalar(select(Run).where(Run.slot == _slot(project_id, RunState.QUEUED)))


def has_open_run(database: Database, project_id: int) -> bool:
    """Whether a run of this project waits or is under way."""
    with database.session() as session:
        query = select(Run.id).where(Run.project_id == project_id, Run.slot.is_not(None)).limit(1)
        return session.scalar(query) is not None


def new_labels(database: Database, project_id: int) -> NewLabels:
    """Labels since the verdict; none where a run waits that will read them. One query."""
    queued = exists().where(Run.slot == _slot(project_id, RunState.QUEUED))
    tried = select(func.max(Run.counted)).where(Run.project_id == project_id).scalar_subquery()
    query = select(LabelCount.accepted, tried).where(LabelCount.project_id == project_id, ~queued)
    with database.session() as session:
        row = session.execute(query).one_or_none()
    return NewLabels(row[0], row[1] or 0) if row else NewLabels()


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
    """The last run of this project that came to a verdict."""
    return _last(database, Run.project_id == project_id, Run.state.in_(VERDICTS))


def last_read(database: Database, project_id: int) -> Run | None:
    """The last run of this project that read the labels, however it ended."""
    return _last(database, Run.project_id == project_id, Run.accepted.is_not(None))


def failures_in_a_row(database: Database, project_id: int) -> int:
    """Runs of this project that failed since one ended in another way."""
    ended = aliased(Run)
    others = (*VERDICTS, RunState.CANCELLED)
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


def claim(database: Database, run_id: int) -> bool:
    """Take a queued run; False where it is queued no more, or another run of its project is unfinished."""
    project_id = get_run(database, run_id).project_id
    values = {
        "state": RunState.RUNNING,
        "slot": _slot(project_id, RunState.RUNNING),
        "stage": Stage.LABELS,
        "started_at": datetime.now(UTC),
    }
    try:
        with database.session() as session:
            is_ours = _update(session, run_id, values, (RunState.QUEUED,))
            if is_ours:
                _forget_retries(session, project_id)
            return is_ours
    except IntegrityError:
        return False


def note_start(database: Database, run_id: int, host: str, process_id: int) -> None:
    """A process works on the run now."""
    values = {"host": host, "process_id": process_id, "starts": Run.starts + 1}
    _change(database, run_id, values | {"heartbeat": datetime.now(UTC)}, *UNFINISHED)


def beat(database: Database, run_id: int) -> Run:
    """Note that the run's process lives; the run as it stands."""
    _change(database, run_id, {"heartbeat": datetime.now(UTC)}, *UNFINISHED)
    return get_run(database, run_id)


def report(
    database: Database,
    run_id: int,
    stage: Stage,
    step: int = 0,
    steps: int = 0,
    seconds_left: float | None = None,
) -> None:
    """Note how far the run is; being further than ever before clears its count of starts."""
    mark = list(Stage).index(stage) * STEPS_PER_STAGE + step
    values = {"stage": stage, "step": step, "steps": steps, "seconds_left": seconds_left}
    with database.session() as session:
        _update(session, run_id, values, UNFINISHED)
        further = update(Run).where(Run.id == run_id, Run.furthest < mark)
        session.execute(further.values(furthest=mark, starts=0))


def note_labels(database: Database, run_id: int, accepted: int) -> None:
    """The labels are about to be read: `accepted` tasks have some. Those that come from now on count on, whatever
    becomes of the run."""
    counted = select(LabelCount.accepted).where(LabelCount.project_id == Run.project_id).scalar_subquery()
    _change(database, run_id, {"accepted": accepted, "counted": func.coalesce(counted, 0)}, *UNFINISHED)


def note_snapshot(database: Database, run_id: int, digest: str) -> None:
    """The run trains on this snapshot."""
    _change(database, run_id, {"snapshot_digest": digest}, RunState.RUNNING)


def note_verdict(database: Database, run_id: int, reason: str) -> None:
    """The candidate is judged; what is left is to make it a version."""
    values = {"state": RunState.JUDGED, "reason": reason[:MAX_REASON_LENGTH], "seconds_left": None}
    _change(database, run_id, values, *UNFINISHED)


def finish(
    database: Database,
    run_id: int,
    state: RunState,
    reason: str,
    version: str | None = None,
    *,
    is_settled: bool = False,
    retry_at: datetime | None = None,
) -> bool:
    """End the run; False where it has ended before: the first end stays.

    With a verdict the labels that it had read count no more; `is_settled`: nor do they without one, because an earlier
    verdict holds for them. `retry_at`: when the project is to be trained again.
    """
    values = {
        "state": state,
        "slot": None,
        "reason": reason[:MAX_REASON_LENGTH],
        "version": version,
        "finished_at": datetime.now(UTC),
        "seconds_left": None,
        "process_id": None,
        "retry_at": retry_at,
    }
    with database.session() as session:
        has_ended = _update(session, run_id, values, (RunState.QUEUED, *UNFINISHED))
        if has_ended and (is_settled or state in VERDICTS):
            _settle(session, run_id)
        return has_ended


def request_cancel(database: Database, run_id: int) -> Run:
    """End a queued run, ask for the end of a running one, and have a failed one not tried again; the run as it stands
    then.

    Raises RunError where it has ended, or is judged and about to become a version.
    """
    cancelled = {"state": RunState.CANCELLED, "slot": None, "finished_at": datetime.now(UTC)}
    queued = cancelled | {"reason": "cancelled before it started"}
    if not (
        _change(database, run_id, queued, RunState.QUEUED)
        or _change(database, run_id, {"cancel_requested": True}, RunState.RUNNING)
        or _give_up(database, run_id)
    ):
        raise RunError(f"Run {run_id} is {get_run(database, run_id).state} and cannot be cancelled.")
    return get_run(database, run_id)


def _slot(project_id: int, state: RunState) -> str:
    return f"{project_id} {state}"


def _settle(session: Session, run_id: int) -> None:
    """Nothing that this run had read, and runs before it, counts any more."""
    project_id, counted = session.execute(select(Run.project_id, Run.counted).where(Run.id == run_id)).one()
    take_labels(session, project_id, counted or 0)
    session.execute(update(Run).where(Run.project_id == project_id, Run.counted > 0).values(counted=0))


def _forget_retries(session: Session, project_id: int) -> None:
    """A new run of the project is the retry of those before."""
    planned = update(Run).where(Run.project_id == project_id, Run.retry_at.is_not(None))
    session.execute(planned.values(retry_at=None))


def _give_up(database: Database, run_id: int) -> bool:
    """Whether a retry was planned, which is none now."""
    planned = update(Run).where(Run.id == run_id, Run.retry_at.is_not(None)).values(retry_at=None)
    with database.session() as session:
        return cast("CursorResult[Any]", session.execute(planned)).rowcount == 1


def _in_state(database: Database, *states: RunState) -> list[Run]:
    with database.session() as session:
        return list(session.scalars(select(Run).where(Run.state.in_(states)).order_by(Run.id)))


def _last(database: Database, *conditions: Any) -> Run | None:
    with database.session() as session:
        return session.scalar(select(Run).where(*conditions).order_by(Run.id.desc()).limit(1))


def _change(database: Database, run_id: int, values: dict[str, Any], *states: RunState) -> bool:
    with database.session() as session:
        return _update(session, run_id, values, states)


def _update(session: Session, run_id: int, values: dict[str, Any], states: tuple[RunState, ...]) -> bool:
    """Whether the run was in one of these states, and so has the values now: one statement, no race."""
    statement = update(Run).where(Run.id == run_id, Run.state.in_(states)).values(**values)
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
