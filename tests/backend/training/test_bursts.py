"""How long a run waits for the labels of one burst."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prelabel.store.runs import Run
from prelabel.training.bursts import PATIENCE, QUIET, is_settling

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("label", "after", "settles"),
    [
        (timedelta(), QUIET - SECOND, True),
        (timedelta(), QUIET, False),
        (timedelta(seconds=15), QUIET, True),
        (timedelta(seconds=15), timedelta(seconds=15) + QUIET, False),
        (PATIENCE - 2 * SECOND, PATIENCE - SECOND, True),
        (PATIENCE - 2 * SECOND, PATIENCE, False),
        (None, QUIET - SECOND, True),
        (None, QUIET, False),
        (-timedelta(hours=1), QUIET - SECOND, True),
    ],
)
def test_a_run_waits_for_a_pause_and_not_for_ever(
    label: timedelta | None, after: timedelta, settles: bool
) -> None:
    run = Run(requested_at=NOON, starts_by=NOON + PATIENCE)
    assert is_settling(run, None if label is None else NOON + label, NOON + after) is settles


def test_a_run_that_a_person_asked_for_waits_for_nothing() -> None:
    assert not is_settling(Run(requested_at=NOON, starts_by=None), NOON, NOON)
