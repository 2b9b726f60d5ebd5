"""The rules that start a training run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import captured

from fbnetv3.finetuning.cadence import FIRST, GROWTH, MANY_OBJECTS
from prelabel.settings import SettingsError, load_settings
from prelabel.store.label_counts import most_regions
from prelabel.store.runs import NewLabels, Run
from prelabel.training.triggers import TriggerRules, event_reason, timer_reason, too_few

RULES = TriggerRules(every=20, minimum=10, interval=None)
AUTOMATIC = TriggerRules(every=None, minimum=FIRST, interval=None)
BY_SHARE = TriggerRules(every=None, minimum=5, interval=None, growth=0.5)
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
        (RULES, created(labelled=10), 20, "20 new labels"),
        (TriggerRules(1, 10, None), created(), 1, "1 new label"),
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
    assert event_reason(rules, payload, NewLabels(counted)) == reason


@pytest.mark.parametrize(
    ("counted", "tried", "reason"),
    [
        (21, 20, None),
        (39, 20, None),
        (40, 20, "40 new labels"),
        (41, 25, "41 new labels"),
        (20, 7, "20 new labels"),
        (59, 40, None),
        (85, 40, "85 new labels"),
    ],
)
def test_labels_after_a_run_that_came_to_no_verdict(counted: int, tried: int, reason: str | None) -> None:
    assert event_reason(RULES, created(), NewLabels(counted, tried)) == reason


@pytest.mark.parametrize(
    ("labels", "labelled", "reason"),
    [
        (NewLabels(4), 4, None),
        (NewLabels(5), 5, "5 new labels"),
        (NewLabels(5), None, "5 new labels"),
        (NewLabels(5), 2, None),  # several annotations of one task
        (NewLabels(1), 31, "1 new label"),  # 30 were there before prelabel was
        (NewLabels(2, decided_on=5, read=5), 7, None),
        (NewLabels(3, decided_on=5, read=5), 8, "3 new labels"),
        (NewLabels(3, decided_on=5, read=5), 5, "3 new labels"),  # of tasks that had some
        (NewLabels(1, decided_on=5, read=5), 8, "1 new label"),  # webhooks were lost
        (NewLabels(9, decided_on=20, read=20), 29, None),
        (NewLabels(10, decided_on=20, read=20), 30, "10 new labels"),
        (NewLabels(0, decided_on=5, read=5), 90, None),  # a run that waits will read them
        (NewLabels(6, tried=5, read=5), 6, None),
        (NewLabels(8, tried=5, read=5), 8, "8 new labels"),
        (NewLabels(11, tried=10, decided_on=20, read=30), 31, None),
        (NewLabels(25, tried=10, decided_on=20, read=30), 45, "25 new labels"),
        (NewLabels(2, tried=1), 32, None),  # the run before failed without reading any
        (NewLabels(17, tried=1), 47, "17 new labels"),
        (NewLabels(5, tried=4, read=4), 5, "5 new labels"),  # too few for the one that a person started
    ],
)
def test_labels_that_grew_by_a_share(labels: NewLabels, labelled: int | None, reason: str | None) -> None:
    assert event_reason(BY_SHARE, created(labelled), labels) == reason


def test_the_rules_of_the_settings(bare_environment: None) -> None:
    assert TriggerRules.of(load_settings()) == TriggerRules(None, FIRST, None, GROWTH)
    settings = load_settings(prelabel_train_every=20, prelabel_train_min_labels=10, prelabel_train_interval=6)
    assert TriggerRules.of(settings) == TriggerRules(20, 10, timedelta(hours=6), GROWTH)
    assert TriggerRules.of(load_settings(prelabel_train_growth=0.25)).growth == 0.25
    for wrong in (0, -0.5, 101):
        with pytest.raises(SettingsError, match="PRELABEL_TRAIN_GROWTH"):
            load_settings(prelabel_train_growth=wrong)


def reading(accepted: int, days_ago: float = 9) -> Run:
    return Run(accepted=accepted, requested_at=NOON - timedelta(days=days_ago))


@pytest.mark.parametrize(
    ("labelled", "verdict", "read", "reason"),
    [
        (20, None, None, "20 new labels, found by asking"),
        (19, None, None, None),
        (60, 40, 40, "20 new labels, found by asking"),
        (59, 40, 40, None),
        (5, 40, 40, None),
        (9, None, None, None),
        (35, None, 20, None),
        (40, None, 20, "40 new labels, found by asking"),
        (60, 40, 45, "20 new labels, found by asking"),
        (70, 40, 60, None),
        (80, 40, 60, "40 new labels, found by asking"),
        (60, 40, 30, "20 new labels, found by asking"),
    ],
)
def test_labels_that_no_webhook_told_of(
    labelled: int, verdict: int | None, read: int | None, reason: str | None
) -> None:
    last, tried = (None if accepted is None else reading(accepted) for accepted in (verdict, read))
    assert timer_reason(RULES, labelled, last, tried, NOON) == reason


@pytest.mark.parametrize(
    ("labelled", "decided", "read", "reason"),
    [
        (4, None, None, None),
        (5, None, None, "5 new labels, found by asking"),
        (7, 5, 5, None),
        (8, 5, 5, "3 new labels, found by asking"),
        (9, 5, 8, None),
        (12, 5, 8, "7 new labels, found by asking"),
        (3, 5, 5, None),
    ],
)
def test_a_share_that_no_webhook_told_of(
    labelled: int, decided: int | None, read: int | None, reason: str | None
) -> None:
    last, tried = (None if accepted is None else reading(accepted) for accepted in (decided, read))
    assert timer_reason(BY_SHARE, labelled, last, tried, NOON) == reason


def test_the_timer() -> None:
    rules = TriggerRules(every=0, minimum=10, interval=timedelta(hours=6))
    assert timer_reason(rules, 10, None, None, NOON) == "timer"
    assert timer_reason(rules, 9, None, None, NOON) is None
    assert timer_reason(rules, 50, None, reading(50, days_ago=7 / 24), NOON) == "timer"
    assert timer_reason(rules, 50, None, reading(50, days_ago=6 / 24), NOON) == "timer"
    assert timer_reason(rules, 50, reading(10), reading(10, days_ago=5 / 24), NOON) is None


def test_too_few_labels_are_told_with_the_number() -> None:
    assert too_few(RULES, 10, 0) is None
    assert str(too_few(RULES, 9, 99)).startswith("9 tasks have ")
    assert too_few(RULES, 1, 99) == (
        "1 task has accepted labels, and training starts at 10 (PRELABEL_TRAIN_MIN_LABELS)"
    )


def full(objects: int, *, labelled: int = 1) -> dict[str, Any]:
    """The event of a label with so many regions, each with the label and the shape in entries of their own."""
    entries = [
        {"id": f"region{number}", "original_width": 640, "type": type_}
        for number in range(objects)
        for type_ in ("rectangle", "labels")
    ]
    payload = created(labelled)
    others = [
        {"id": "whole", "type": "choices"},
        {"id": "nose", "original_width": 640, "type": "keypointlabels"},
        {"id": "next page", "original_width": 640, "type": "rectanglelabels", "item_index": 1},
        None,
    ]
    payload["annotation"]["result"] = [*entries, *others]
    return payload


@pytest.mark.parametrize(
    ("rules", "payload", "labels", "reason"),
    [
        (AUTOMATIC, full(MANY_OBJECTS), NewLabels(1), "1 new label"),
        (AUTOMATIC, full(MANY_OBJECTS - 1), NewLabels(1), None),
        (AUTOMATIC, full(MANY_OBJECTS, labelled=2), NewLabels(2), "2 new labels"),
        (AUTOMATIC, full(MANY_OBJECTS, labelled=2), NewLabels(1, 0, 1, 1), None),  # the first was enough
        (BY_SHARE, full(MANY_OBJECTS), NewLabels(1), None),  # somebody wants to wait for more
        (RULES, full(MANY_OBJECTS), NewLabels(20), None),
    ],
)
def test_one_label_full_of_regions(
    rules: TriggerRules, payload: Any, labels: NewLabels, reason: str | None
) -> None:
    assert event_reason(rules, payload, labels) == reason
    if reason:
        assert too_few(rules, labels.counted, MANY_OBJECTS) is None


@pytest.mark.parametrize(
    "annotation", [None, 1, [], [None], {"result": None}, {"result": {}}, [{"result": [7]}]]
)
def test_an_annotation_that_is_none_has_no_regions(annotation: Any) -> None:
    assert most_regions({"annotation": annotation}) == 0
