"""The table of runs: what may be at the same time, and how a run goes on and ends."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prelabel.store.database import Database
from prelabel.store.events import record_event
from prelabel.store.label_counts import known_projects, note_project
from prelabel.store.run_progress import (
    beat,
    claim,
    finish,
    note_decision,
    note_labels,
    note_snapshot,
    note_start,
    report,
    request_cancel,
    request_run,
)
from prelabel.store.runs import (
    NewLabels,
    Run,
    RunError,
    RunState,
    Stage,
    failures_in_a_row,
    get_run,
    has_open_run,
    last_read,
    last_trained,
    list_runs,
    new_labels,
    queued_runs,
    retries_due,
    unfinished_runs,
)


def started(database: Database, project_id: int = 7) -> int:
    run = request_run(database, project_id, "Start Training")
    assert claim(database, run.id)
    return run.id


def test_a_request_is_remembered_and_not_doubled(database: Database) -> None:
    first = request_run(database, 7, "Start Training")
    assert request_run(database, 7, "20 new labels").id == first.id
    assert claim(database, first.id)
    second = request_run(database, 7, "20 new labels")
    assert second.id != first.id
    assert request_run(database, 7, "timer").id == second.id
    assert [(run.id, run.state) for run in list_runs(database, 7)] == [
        (second.id, "queued"),
        (first.id, "running"),
    ]


def test_requests_from_many_threads_make_one_run(database: Database) -> None:
    ids: list[int] = []
    barrier = threading.Barrier(8)

    def press() -> None:
        barrier.wait()
        ids.append(request_run(database, 7, "Start Training").id)

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == len(list_runs(database)) == 1


def test_a_project_has_one_running_run_and_another_project_its_own(database: Database) -> None:
    first = started(database)
    second = request_run(database, 7, "timer")
    assert not claim(database, second.id)
    assert not claim(database, first)
    assert started(database, 8) != first
    assert finish(database, first, RunState.FAILED, "no labels")
    assert claim(database, second.id)


def test_only_one_of_many_claims_succeeds(database: Database) -> None:
    run = request_run(database, 7, "timer")
    barrier = threading.Barrier(6)
    won: list[bool] = []

    def take() -> None:
        barrier.wait()
        won.append(claim(database, run.id))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]


def test_a_run_tells_how_far_it_is(database: Database) -> None:
    run_id = started(database)
    report(database, run_id, Stage.TRAINING, 30, 100, 200.0)
    run = get_run(database, run_id)
    assert (run.stage, run.step, run.steps, run.eta) == ("training", 30, 100, "3 min")
    report(database, run_id, Stage.TRAINING, 90, 100, 20.4)
    assert get_run(database, run_id).eta == "20 s"


def test_the_time_left_is_told_in_seconds_below_a_minute_and_a_half(database: Database) -> None:
    run_id = started(database)
    for seconds, told in ((89.0, "89 s"), (90.0, "2 min"), (300.0, "5 min"), (None, None)):
        report(database, run_id, Stage.TRAINING, 1, 2, seconds)
        assert get_run(database, run_id).eta == told
    report(database, run_id, Stage.TRAINING, 1, 2, 60.0)
    note_decision(database, run_id, "better")
    judged = get_run(database, run_id)
    assert (judged.eta, judged.seconds_left) == (None, None)


def test_long_reasons_are_cut_to_what_is_kept(database: Database) -> None:
    run = request_run(database, 7, "x" * 65)
    assert run.requested_by == "x" * 64
    assert claim(database, run.id)
    note_decision(database, run.id, "y" * 100_000)
    assert get_run(database, run.id).reason == "y" * 1000
    finish(database, run.id, RunState.REJECTED, "y" * 100_000)
    assert get_run(database, run.id).reason == "y" * 1000


def test_the_newest_runs_come_first_and_no_more_than_wanted(database: Database) -> None:
    ids = []
    for project_id in (7, 8, 7):
        run_id = started(database, project_id)
        finish(database, run_id, RunState.FAILED, "no disk")
        ids.append(run_id)
    assert [run.id for run in list_runs(database)] == ids[::-1]
    assert [run.id for run in list_runs(database, limit=2)] == ids[:0:-1]
    assert [run.id for run in list_runs(database, 7)] == [ids[2], ids[0]]


def test_what_waits_and_what_is_under_way_comes_in_order(database: Database) -> None:
    first, second, third = (request_run(database, project_id, "timer").id for project_id in (7, 8, 9))
    assert [run.id for run in queued_runs(database)] == [first, second, third]
    for run_id in (third, first):
        assert claim(database, run_id)
    note_decision(database, first, "better")
    assert [run.id for run in queued_runs(database)] == [second]
    assert [run.id for run in unfinished_runs(database)] == [first, third]
    assert has_open_run(database, 8) and has_open_run(database, 9) and not has_open_run(database, 10)


def test_starts_count_until_the_run_is_further_than_ever(database: Database) -> None:
    run_id = started(database)
    report(database, run_id, Stage.TRAINING, 50, 100)
    for _ in range(2):
        note_start(database, run_id, "here", 1)
        report(database, run_id, Stage.LABELS)
        report(database, run_id, Stage.TRAINING, 40, 100)
    assert get_run(database, run_id).starts == 2
    report(database, run_id, Stage.TRAINING, 51, 100)
    assert get_run(database, run_id).starts == 0
    note_start(database, run_id, "here", 1)
    report(database, run_id, Stage.JUDGING)
    assert get_run(database, run_id).starts == 0


def test_the_first_end_stays(database: Database) -> None:
    run_id = started(database)
    assert finish(database, run_id, RunState.PROMOTED, "better", "p7-v1")
    assert not finish(database, run_id, RunState.FAILED, "late")
    report(database, run_id, Stage.LABELS, 1, 2)
    run = get_run(database, run_id)
    assert (run.state, run.reason, run.version, run.step) == ("promoted", "better", "p7-v1", 0)
    assert not has_open_run(database, 7)
    assert unfinished_runs(database) == []


def test_a_failed_run_can_be_asked_for_again(database: Database) -> None:
    run_id = started(database)
    finish(database, run_id, RunState.FAILED, "no labels")
    assert request_run(database, 7, "Start Training").id != run_id


def test_cancelling(database: Database) -> None:
    queued = request_run(database, 7, "timer")
    assert request_cancel(database, queued.id).state == RunState.CANCELLED
    running = started(database)
    assert request_cancel(database, running).state == RunState.RUNNING
    assert beat(database, running).cancel_requested
    judged = started(database, 8)
    note_decision(database, judged, "better")
    with pytest.raises(RunError, match=f"Run {judged} is judged and cannot be cancelled"):
        request_cancel(database, judged)
    with pytest.raises(RunError, match="There is no run 99"):
        request_cancel(database, 99)


def test_what_was_trained_and_what_was_read(database: Database) -> None:
    first = started(database)
    note_labels(database, first, 20)
    note_snapshot(database, first, "abc")
    finish(database, first, RunState.REJECTED, "worse")
    second = started(database)
    note_labels(database, second, 25)
    finish(database, second, RunState.FAILED, "no disk")
    trained, read = last_trained(database, 7), last_read(database, 7)
    assert trained and (trained.id, trained.snapshot_digest) == (first, "abc")
    assert read and (read.id, read.accepted) == (second, 25)
    assert last_trained(database, 8) is None


def event(action: str, **fields: Any) -> dict[str, Any]:
    return {"action": action, "project": {"id": 7}, **fields}


def test_labels_are_counted_until_a_run_reads_them(database: Database) -> None:
    payloads = [
        event("ANNOTATION_CREATED", annotation={"id": 1, "was_cancelled": False}),
        event("ANNOTATION_CREATED", annotation={"id": 1, "was_cancelled": False}),  # delivered twice
        event("ANNOTATION_CREATED", annotation={"id": 2, "was_cancelled": True}),
        event("ANNOTATIONS_CREATED", annotation=[{"id": 3}, {"id": 4, "was_cancelled": True}, {"id": 5}]),
        event("ANNOTATION_UPDATED", annotation={"id": 1, "was_cancelled": False}),
        event("ANNOTATIONS_DELETED", annotations=[{"id": 1}]),
        event("TASKS_CREATED", tasks=[{"id": 9}]),
        event("ANNOTATION_CREATED", annotation="nonsense"),
    ]
    for payload in payloads:
        record_event(database, str(payload), payload)
    assert new_labels(database, 7) == NewLabels(3)
    request_run(database, 7, "3 new labels")
    assert new_labels(database, 7) == NewLabels()


def label(database: Database, count: int, project_id: int = 7) -> None:
    annotations = [{"id": n} for n in range(count)]
    payload = event("ANNOTATIONS_CREATED", annotation=annotations) | {"project": {"id": project_id}}
    record_event(database, f"{payload} {id(annotations)} {datetime.now(UTC)}", payload)


def read(database: Database, project_id: int = 7) -> int:
    run_id = started(database, project_id)
    note_labels(database, run_id, 20)
    return run_id


@pytest.mark.parametrize("end", [RunState.FAILED, RunState.CANCELLED])
def test_a_run_without_a_verdict_takes_no_labels_with_it(database: Database, end: RunState) -> None:
    label(database, 20)
    run_id = read(database)
    label(database, 3)
    assert new_labels(database, 7) == NewLabels(23, tried=20, read=20)
    finish(database, run_id, end, "no disk")
    assert new_labels(database, 7) == NewLabels(23, tried=20, read=20)


@pytest.mark.parametrize("end", [RunState.PROMOTED, RunState.REJECTED])
def test_a_verdict_takes_the_labels_that_it_had_read_and_no_later_ones(
    database: Database, end: RunState
) -> None:
    label(database, 20)
    label(database, 6, project_id=8)
    finish(database, read(database), RunState.FAILED, "no disk")
    label(database, 5)
    run_id = read(database)
    label(database, 3)
    note_decision(database, run_id, "better")
    assert finish(database, run_id, end, "better")
    assert not finish(database, run_id, end, "better")
    assert new_labels(database, 7) == NewLabels(3, decided_on=20, read=20)
    assert new_labels(database, 8) == NewLabels(6)


def test_a_run_that_found_nothing_new_settles_the_labels(database: Database) -> None:
    label(database, 20)
    finish(database, read(database), RunState.CANCELLED, "nothing new since run 1", is_settled=True)
    assert new_labels(database, 7) == NewLabels(read=20)


def test_labels_that_are_read_again_after_a_kill_are_counted_once(database: Database) -> None:
    label(database, 20)
    run_id = read(database)
    label(database, 4)
    note_labels(database, run_id, 24)
    finish(database, run_id, RunState.PROMOTED, "better")
    assert new_labels(database, 7) == NewLabels(decided_on=24, read=24)


def test_labels_are_not_new_while_a_run_that_has_started_has_not_read_them(database: Database) -> None:
    label(database, 5)
    run_id = started(database)
    label(database, 5)
    assert new_labels(database, 7) == NewLabels()
    note_labels(database, run_id, 10)
    label(database, 2)
    assert new_labels(database, 7) == NewLabels(12, tried=10, read=10)


def test_labels_of_a_run_that_ended_before_it_read_them_have_been_tried(database: Database) -> None:
    label(database, 5)
    finish(database, started(database), RunState.FAILED, "Label Studio is away")
    label(database, 1)
    assert new_labels(database, 7) == NewLabels(6, tried=5)
    request_cancel(database, request_run(database, 7, "6 new labels").id)
    label(database, 1)
    assert new_labels(database, 7) == NewLabels(7, tried=6)


def test_a_request_with_patience_gives_way_to_one_without(database: Database) -> None:
    patient = request_run(database, 7, "5 new labels", timedelta(minutes=1))
    assert patient.starts_by == patient.requested_at + timedelta(minutes=1)
    again = request_run(database, 7, "6 new labels", timedelta(minutes=9))
    assert (again.id, again.starts_by, again.requested_by) == (patient.id, patient.starts_by, "5 new labels")
    pressed = request_run(database, 7, "Start Training")
    assert (pressed.id, pressed.starts_by, pressed.requested_by) == (patient.id, None, "Start Training")
    assert request_run(database, 7, "7 new labels", timedelta(minutes=1)).starts_by is None
    assert len(list_runs(database)) == 1


def test_a_run_of_before_the_count_takes_no_labels(database: Database) -> None:
    label(database, 5)
    run_id = started(database)
    finish(database, run_id, RunState.PROMOTED, "better")
    assert new_labels(database, 7) == NewLabels(5)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def failed(database: Database, minutes: int | None = 5) -> Run:
    run_id = started(database)
    retry_at = None if minutes is None else NOON + timedelta(minutes=minutes)
    finish(database, run_id, RunState.FAILED, "no disk", retry_at=retry_at)
    return get_run(database, run_id)


def test_a_failed_run_is_due_once_its_time_has_come(database: Database) -> None:
    run = failed(database)
    assert retries_due(database, NOON) == []
    assert [one.id for one in retries_due(database, NOON + timedelta(minutes=5))] == [run.id]


def test_another_projects_runs_are_no_matter_to_a_retry(database: Database) -> None:
    run = failed(database)
    finish(database, started(database, 8), RunState.PROMOTED, "better")
    request_run(database, 8, "Start Training")
    assert [one.id for one in retries_due(database, NOON + timedelta(days=1))] == [run.id]


def test_a_run_that_was_requested_since_is_the_retry(database: Database) -> None:
    run = failed(database)
    queued = request_run(database, 7, "Start Training")
    assert get_run(database, run.id).retry_at is None
    request_cancel(database, queued.id)
    assert retries_due(database, NOON + timedelta(days=9)) == []


def test_a_run_that_waited_already_is_the_retry(database: Database) -> None:
    running = started(database)
    queued = request_run(database, 7, "Start Training")
    finish(database, running, RunState.FAILED, "no disk", retry_at=NOON)
    assert retries_due(database, NOON) == []
    assert claim(database, queued.id)
    assert get_run(database, running).retry_at is None


def test_failures_in_a_row_end_with_any_other_end(database: Database) -> None:
    assert failures_in_a_row(database, 7) == 0
    for count in (1, 2):
        failed(database)
        assert failures_in_a_row(database, 7) == count
    assert failures_in_a_row(database, 8) == 0
    finish(database, started(database, 8), RunState.REJECTED, "worse")
    assert failures_in_a_row(database, 7) == 2, "another project's runs are no matter"
    finish(database, started(database), RunState.REJECTED, "worse")
    assert failures_in_a_row(database, 7) == 0
    failed(database, None)
    assert failures_in_a_row(database, 7) == 1


def test_cancelling_a_failed_run_has_it_not_tried_again(database: Database) -> None:
    earlier = finish(database, started(database, 8), RunState.FAILED, "no disk", retry_at=NOON)
    run = failed(database)
    assert earlier and request_cancel(database, run.id).state == RunState.FAILED
    assert [one.project_id for one in retries_due(database, NOON + timedelta(days=1))] == [8]
    with pytest.raises(RunError, match=f"Run {run.id} is failed and cannot be cancelled"):
        request_cancel(database, run.id)


def test_a_project_is_known_once_heard_of(database: Database) -> None:
    record_event(database, "{}", event("PROJECT_UPDATED"))
    note_project(database, 9)
    note_project(database, 9)
    request_run(database, 8, "command")
    assert known_projects(database) == [7, 8, 9]
