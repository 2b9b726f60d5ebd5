"""What happens to a training run: it is requested, claimed by a worker, gets on, and ends.

Each change is one statement, so that no other thread, process or host comes in between.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from prelabel.store.database import Database
from prelabel.store.label_counts import LabelCount, count_labels, take_labels
from prelabel.store.runs import (
    DECIDED,
    UNFINISHED,
    Run,
    RunError,
    RunState,
    Stage,
    get_run,
    queued_run,
    slot_of,
)

MAX_REASON_LENGTH = 1000

STEPS_PER_STAGE = 10**8
"""More than any stage has steps: a later stage is always further than an earlier one."""


def request_run(database: Database, project_id: int, reason: str, patience: timedelta | None = None) -> Run:
    """The project's queued run: the one that waits already, else a new one. `reason`: the trigger, in words.

    `patience`: how long at most the run waits for labels to stop coming. None: it starts at once, also the one that
    waits already.
    """
    now = datetime.now(UTC)
    row = {
        "project_id": project_id,
        "state": RunState.QUEUED,
        "slot": slot_of(project_id, RunState.QUEUED),
        "requested_at": now,
        "requested_by": reason[:64],
        "starts_by": None if patience is None else now + patience,
    }
    while True:
        if queued := queued_run(database, project_id):
            if patience is None and queued.starts_by is not None:
                hurried = {"starts_by": None, "requested_by": row["requested_by"]}
                _change(database, queued.id, hurried, RunState.QUEUED)
                return get_run(database, queued.id)
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


def claim(database: Database, run_id: int) -> bool:
    """Take a queued run; False where it is queued no more, or another run of its project is unfinished."""
    project_id = get_run(database, run_id).project_id
    values = {
        "state": RunState.RUNNING,
        "slot": slot_of(project_id, RunState.RUNNING),
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
    _change(database, run_id, {"accepted": accepted, "counted": _labels_now()}, *UNFINISHED)


def note_snapshot(database: Database, run_id: int, digest: str) -> None:
    """The run trains on this snapshot."""
    _change(database, run_id, {"snapshot_digest": digest}, RunState.RUNNING)


def note_decision(database: Database, run_id: int, reason: str) -> None:
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

    With a decision the labels that it had read count no more; `is_settled`: nor do they without one, because an earlier
    decision holds for them. In any other end they have been tried, also where it did not come to reading.
    `retry_at`: when the project is to be trained again.
    """
    values: dict[str, Any] = {
        "state": state,
        "slot": None,
        "reason": reason[:MAX_REASON_LENGTH],
        "version": version,
        "finished_at": datetime.now(UTC),
        "seconds_left": None,
        "process_id": None,
        "retry_at": retry_at,
    }
    settles = is_settled or state in DECIDED
    if not settles:
        values["counted"] = func.coalesce(Run.counted, _labels_now())
    with database.session() as session:
        has_ended = _update(session, run_id, values, (RunState.QUEUED, *UNFINISHED))
        if has_ended and settles:
            _settle(session, run_id)
        return has_ended


def request_cancel(database: Database, run_id: int) -> Run:
    """End a queued run, ask for the end of a running one, and have a failed one not tried again; the run as it stands
    then. The labels that a queued run would have read have been tried, so that the very next one requests no other run.

    Raises RunError where it has ended, or is judged and about to become a version.
    """
    cancelled = {"state": RunState.CANCELLED, "slot": None, "finished_at": datetime.now(UTC)}
    queued = cancelled | {"reason": "cancelled before it started", "counted": _labels_now()}
    if not (
        _change(database, run_id, queued, RunState.QUEUED)
        or _change(database, run_id, {"cancel_requested": True}, RunState.RUNNING)
        or _give_up(database, run_id)
    ):
        raise RunError(f"Run {run_id} is {get_run(database, run_id).state} and cannot be cancelled.")
    return get_run(database, run_id)


def _labels_now() -> Any:
    """For an update of runs: their project's count of new labels at this moment."""
    counted = select(LabelCount.accepted).where(LabelCount.project_id == Run.project_id).scalar_subquery()
    return func.coalesce(counted, 0)


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


def _change(database: Database, run_id: int, values: dict[str, Any], *states: RunState) -> bool:
    with database.session() as session:
        return _update(session, run_id, values, states)


def _update(session: Session, run_id: int, values: dict[str, Any], states: tuple[RunState, ...]) -> bool:
    """Whether the run was in one of these states, and so has the values now: one statement, no race."""
    statement = update(Run).where(Run.id == run_id, Run.state.in_(states)).values(**values)
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
