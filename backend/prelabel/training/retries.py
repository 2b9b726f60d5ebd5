"""Failed runs are tried again: soon, then ever later, computed from the store, so that a restart forgets none.

Which failures are: all but those of which it is known that only new labels or a person can mend them (see
`RunFailed.is_lasting`). Those wait for a trigger, as does a project whose run a person cancelled.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from prelabel.store.database import Database
from prelabel.store.run_progress import finish, request_run
from prelabel.store.runs import Run, RunState, failures_in_a_row, retries_due

logger = logging.getLogger(__name__)

FIRST_DELAY = timedelta(minutes=5)
"""A Label Studio that is restarted or brought up to date is back by then. Doubled with every failure in a row."""

LONGEST_DELAY = timedelta(days=1)
"""An outage that lasts for days costs one try a day, and what ends it is noticed within one."""

DOUBLINGS = 9
"""More than lead from the first to the longest delay."""


def delay_after(failures: int) -> timedelta:
    """How long to wait after so many failures in a row, 1 or more."""
    return min(FIRST_DELAY * (1 << min(failures - 1, DOUBLINGS)), LONGEST_DELAY)


def fail_run(database: Database, run: Run, reason: str, *, is_lasting: bool = False) -> bool:
    """End the run as failed, to be tried again unless the failure `is_lasting`; False where it has ended before."""
    failures = failures_in_a_row(database, run.project_id) + 1
    retry_at = None if is_lasting else datetime.now(UTC) + delay_after(failures)
    return finish(database, run.id, RunState.FAILED, reason, retry_at=retry_at)


def request_due_retries(database: Database) -> None:
    """Request a run for every project whose last one failed and is to be tried again by now."""
    for failed in retries_due(database, datetime.now(UTC)):
        run = request_run(database, failed.project_id, f"run {failed.id} failed")
        logger.info("project %s: run %s tries again what run %s failed at", run.project_id, run.id, failed.id)
