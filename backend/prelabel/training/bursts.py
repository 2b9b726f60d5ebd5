"""One burst of labels is one run: a run that labels request waits until they stop coming.

Nothing waits in memory: the row of the run says until when, the recorded events when the last label came, so that any
worker can decide at any moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from prelabel.store.runs import Run

QUIET = timedelta(seconds=20)
"""Without labels for so long, a burst is over: somebody who accepts good predictions takes less for a task."""

PATIENCE = timedelta(seconds=60)
"""How long labels that keep coming delay a run; about half of what a run on few labels takes."""


def is_settling(run: Run, last_label: datetime | None, now: datetime) -> bool:
    """Whether a queued run still waits for labels. `last_label`: when the project's last one came."""
    if run.starts_by is None or now >= run.starts_by:
        return False
    return now - max(run.requested_at, last_label or run.requested_at) < QUIET
