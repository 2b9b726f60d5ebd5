"""The rules that start a training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import captured

from prelabel.jobs.triggers import TriggerRules, event_reason, timer_reason, too_few
from prelabel.store.runs import Run

RULES = TriggerRules(every=20, minimum=10, interval=None)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def created(labelled: Any = 30) -> dict[str, Any]:
    project = {"id": 7, "num_tasks_with_annotations": labelled}
    return {"action": "ANNOTATION_CREATED", "project": project, "annotation": {"was_cancelled": False}}


@pytest.mark.parametrize(
    ("rules", "payload", "counted", "reason"),
    [
        (RULES, created(), 20, "20 new labels"),
        (RULES, created(), 31, "31 new labels"),
        (RULES, created(), 19, None),
        (RULES, created(labelled=9), 20, None),
        (RULES, created(labelled=None), 20, "20 new labels"),
        (TriggerRules(0, 10, None), created(), 500, None),
        (RULES, captured("webhook_ANNOTATION_CREATED_skipped"), 40, None),
        (RULES, captured("webhook_ANNOTATION_UPDATED"), 40, None),
        (RULES, captured("webhook_TASKS_CREATED"), 40, None),
        (RULES, captured("webhook_PROJECT_UPDATED"), 40, None),
        (RULES, captured("train_START_TRAINING"), 0, "Start Training"),
        (RULES, None, 40, None),
    ],
)
def test_events(rules: TriggerRules, payload: Any, counted: int, reason: str | None) -> None:
    assert event_reason(rules, payload, counted) == reason


@pytest.mark.parametrize(
    ("labelled", "read", "reason"),
    [
        (20, None, "20 new labels, found by asking"),
        (19, None, None),
        (60, 40, "20 new labels, found by asking"),
        (59, 40, None),
        (5, 40, None),
        (9, None, None),
    ],
)
def test_labels_that_no_webhook_told_of(labelled: int, read: int | None, reason: str | None) -> None:
    last = None if read is None else Run(accepted=read, requested_at=NOON - timedelta(days=9))
    assert timer_reason(RULES, labelled, last, NOON) == reason


def test_the_timer() -> None:
    rules = TriggerRules(every=0, minimum=10, interval=timedelta(hours=6))
    assert timer_reason(rules, 10, None, NOON) == "timer"
    assert timer_reason(rules, 9, None, NOON) is None
    assert timer_reason(rules, 50, Run(accepted=50, requested_at=NOON - timedelta(hours=7)), NOON) == "timer"
    assert timer_reason(rules, 50, Run(accepted=10, requested_at=NOON - timedelta(hours=5)), NOON) is None


def test_too_few_labels_are_told_with_the_number() -> None:
    assert too_few(RULES, 10) is None
    assert too_few(RULES, 1) == (
        "1 task has accepted labels, and training starts at 10 (PRELABEL_TRAIN_MIN_LABELS)"
    )
