"""Training runs: what is asked for, how far it is, how it ended.

A project has at most one queued and at most one unfinished run. The column `slot` holds that whatever happens at
the same moment in other threads, processes and hosts: it is unique, and NULL once a run has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CursorResult, String, Text, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.label_counts import LabelCount, count_labels, forget_labels

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
ENDS = (RunState.PROMOTED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED)
STEPS_PER_STAGE = 10**8
"""More than any stage has steps: a later stage is always further than an earlier one."""


class RunError(ValueError):
    """What is asked of a run cannot be; the message is one sentence."""


class Run(Base):
    """One training run. `requested_by`: what triggered it, in words. `accepted`: labelled tasks that Label
    Studio counted when the labels were read. `starts`: processes started since it last came further than ever.
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
    version: Mapped[str | None] = mapped_column(String(64))
    host: Mapped[str | None] = mapped_column(String(255))
    process_id: Mapped[int | None]
    heartbeat: Mapped[datetime | None] = mapped_column(UtcDateTime)
    furthest: Mapped[int] = mapped_column(default=-1)
    starts: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)

    @property
    def eta(self) -> str | None:
        """The time left of the stage, in words; None where it is not known."""
        if self.state != RunState.RUNNING or self.seconds_left is None:
            return None
        return f"{self.seconds_left:.0f} s" if self.seconds_left < 90 else f"{self.seconds_left / 60:.0f} min"


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


def unrequested_labels(database: Database, project_id: int) -> int:
    """Labels counted since a run last read them; 0 where a run waits that will read them. One query."""
    queued = exists().where(Run.slot == _slot(project_id, RunState.QUEUED))
    query = select(LabelCount.accepted).where(LabelCount.project_id == project_id, ~queued)
    with database.session() as session:
        return session.scalar(query) or 0


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
    ended = (RunState.PROMOTED, RunState.REJECTED)
    return _last(database, Run.project_id == project_id, Run.state.in_(ended))


def last_read(database: Database, project_id: int) -> Run | None:
    """The last run of this project that read the labels, however it ended."""
    return _last(database, Run.project_id == project_id, Run.accepted.is_not(None))


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
        return _change(database, run_id, values, RunState.QUEUED)
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
    """The labels are about to be read: `accepted` tasks have some. Those that come from now on count anew."""
    with database.session() as session:
        _update(session, run_id, {"accepted": accepted}, UNFINISHED)
        if project_id := session.scalar(select(Run.project_id).where(Run.id == run_id)):
            forget_labels(session, project_id)


def note_snapshot(database: Database, run_id: int, digest: str) -> None:
    """The run trains on this snapshot."""
    _change(database, run_id, {"snapshot_digest": digest}, RunState.RUNNING)


def note_verdict(database: Database, run_id: int, reason: str) -> None:
    """The candidate is judged; what is left is to make it a version."""
    values = {"state": RunState.JUDGED, "reason": reason[:MAX_REASON_LENGTH], "seconds_left": None}
    _change(database, run_id, values, *UNFINISHED)


def finish(database: Database, run_id: int, state: RunState, reason: str, version: str | None = None) -> bool:
    """End the run; False where it has ended before: the first end stays."""
    values = {
        "state": state,
        "slot": None,
        "reason": reason[:MAX_REASON_LENGTH],
        "version": version,
        "finished_at": datetime.now(UTC),
        "seconds_left": None,
        "process_id": None,
    }
    return _change(database, run_id, values, RunState.QUEUED, *UNFINISHED)


def request_cancel(database: Database, run_id: int) -> Run:
    """End a queued run, and ask for the end of a running one; the run as it stands then.

    Raises RunError where it has ended, or is judged and about to become a version.
    """
    cancelled = {"state": RunState.CANCELLED, "slot": None, "finished_at": datetime.now(UTC)}
    queued = cancelled | {"reason": "cancelled before it started"}
    if not _change(database, run_id, queued, RunState.QUEUED) and not _change(
        database, run_id, {"cancel_requested": True}, RunState.RUNNING
    ):
        raise RunError(f"Run {run_id} is {get_run(database, run_id).state} and cannot be cancelled.")
    return get_run(database, run_id)


def _slot(project_id: int, state: RunState) -> str:
    return f"{project_id} {state}"


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
