"""Runs as processes that really are killed: what they lose, what they find again, how they end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_training import STEPS, FakeSteps
from training_stand_in import Training, is_alive, wait_until

from prelabel.folders import LOG, run_folder
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, note_start, request_run
from prelabel.store.runs import list_runs
from prelabel.training.training_run import TrainingRun
from prelabel.training.triggers import TriggerRules
from prelabel.worker import supervision
from prelabel.worker.supervision import Supervisor, cancel_run, is_abandoned

NICE = f"nice {min(os.nice(0) + 10, 19)} threads 1"
TRAINED = [f"step {step}" for step in range(1, STEPS + 1)]


@pytest.fixture
def training(tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    monkeypatch.setenv("FAKE_TRAINING", "{}")
    monkeypatch.setattr(supervision, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(supervision, "POLL_SECONDS", 0.05)
    settings = load_settings(prelabel_home=tmp_path / "home", prelabel_training_threads=1)
    database = Database.open(settings.database_url)
    yield Training(settings, database)
    database.close()


@contextmanager
def working(training: Training) -> Iterator[threading.Thread]:
    """A thread that works off the runs; ended with its training."""
    thread = threading.Thread(target=training.supervisor.work_off)
    thread.start()
    try:
        yield thread
    finally:
        training.supervisor.stop()
        thread.join()


def steps_of(trace: list[str]) -> list[str]:
    return [line for line in trace if not line.startswith("nice")]


def test_a_run_from_its_request_to_its_version(training: Training) -> None:
    run = request_run(training.database, 7, "Start Training")
    training.supervisor.work_off()
    run = training.run(run.id)
    assert (run.state, run.version, run.reason) == ("promoted", "p7-v1", "Better by far.")
    assert (run.accepted, run.snapshot_digest, run.started_at is not None) == (12, "aaaaaaaaaaaa", True)
    nice, *steps = training.trace(run.id)
    assert nice == NICE
    assert steps == ["labels", "training", *TRAINED, "judging", "version", "promotion"]
    folder = run_folder(training.settings, run)
    assert sorted(path.name for path in folder.iterdir()) == ["process.lock", "run.log", "verdict.json"]
    assert "p7-v1 is promoted" in (folder / "run.log").read_text()


def test_a_run_of_another_database_is_not_gone_on_with(training: Training, tmp_path: Path) -> None:
    first = request_run(training.database, 7, "Start Training")
    training.supervisor.work_off()
    left = run_folder(training.settings, training.run(first.id))
    (left / "candidate").write_text("of the other database")
    before = {file.name: file.read_bytes() for file in left.iterdir()}

    fresh = f"sqlite:///{tmp_path}/fresh.sqlite3"
    settings = load_settings(
        prelabel_home=training.settings.prelabel_home,
        prelabel_training_threads=1,
        prelabel_database_url=fresh,
    )
    database = Database.open(fresh)
    again = Training(settings, database)
    run = request_run(database, 7, "Start Training")
    assert run.id == first.id
    again.supervisor.work_off()

    assert again.run(run.id).state == "promoted"
    assert [steps for steps in again.trace(run.id) if steps == "training"] == ["training"] * 2
    assert {file.name: file.read_bytes() for file in left.iterdir()} == before
    database.close()


def test_a_run_that_an_older_prelabel_began_is_found_where_it_lies(training: Training) -> None:
    run = request_run(training.database, 7, "Start Training")
    own = run_folder(training.settings, run)
    older = own.with_name(str(run.id))
    older.mkdir(parents=True)
    assert run_folder(training.settings, run) == own
    (older / LOG).write_text("begun")
    assert run_folder(training.settings, run) == older
    before = run.requested_at.timestamp() - 1
    os.utime(older / LOG, (before, before))
    assert run_folder(training.settings, run) == own


@pytest.mark.parametrize(
    ("moment", "signal_number"),
    [
        ("labels", signal.SIGKILL),
        ("step 10", signal.SIGKILL),
        ("step 10", signal.SIGTERM),
        ("judging", signal.SIGKILL),
        ("version", signal.SIGKILL),
        ("promotion", signal.SIGKILL),
    ],
)
def test_a_killed_run_goes_on_where_it_was(training: Training, moment: str, signal_number: int) -> None:
    training.want(slow=moment, pause=0.03 if moment.startswith("step") else 0.0)
    run = request_run(training.database, 7, "Start Training")
    with working(training) as thread:
        process = training.wait_for(run.id, moment).process_id
        assert process
        os.kill(process, signal_number)
        wait_until(lambda: training.trace(run.id).count(NICE) == 2, "a second start")
        thread.join(30)
    run = training.run(run.id)
    assert (run.state, run.version) == ("promoted", "p7-v1")
    trace = steps_of(training.trace(run.id))
    assert set(TRAINED) <= set(trace)
    repeated = {line for line in trace if trace.count(line) > 1}
    again = {"step 10": {"training"}, "labels": {"labels"}, "judging": {"training", "judging"}}
    assert repeated - {"step 10", "step 11"} <= again.get(moment, {"version", "promotion"})


def test_a_run_that_dies_at_the_same_place_each_time_is_given_up(training: Training) -> None:
    training.want(die="judging")
    run = request_run(training.database, 7, "Start Training")
    training.supervisor.work_off()
    run = training.run(run.id)
    assert run.state == "failed"
    assert run.reason == "was killed, perhaps for want of memory, 3 times without getting any further"
    assert training.trace(run.id).count("judging") == 4  # the first start did get further


def test_cancelling_ends_the_process(training: Training) -> None:
    training.want(pause=0.5)
    run = request_run(training.database, 7, "Start Training")
    with working(training) as thread:
        process = training.wait_for(run.id, "step 1").process_id
        assert process
        assert is_alive(process)
        assert cancel_run(training.settings, training.database, run.id).state == "running"
        thread.join(30)
        assert not is_alive(process)
    assert training.run(run.id).state == "cancelled"
    assert "judging" not in training.trace(run.id)


def test_a_run_without_a_process_is_cancelled_without_a_worker(training: Training) -> None:
    run = request_run(training.database, 7, "Start Training")
    claim(training.database, run.id)
    note_start(training.database, run.id, supervision.socket.gethostname(), 2**22 + 1)
    assert cancel_run(training.settings, training.database, run.id).state == "cancelled"


def test_a_run_of_another_host_is_left_alone_while_it_shows_life(training: Training) -> None:
    run = request_run(training.database, 7, "Start Training")
    claim(training.database, run.id)
    note_start(training.database, run.id, "elsewhere", 1)
    training.supervisor.work_off()
    assert training.run(run.id).state == "running"
    assert training.trace(run.id) == []


@pytest.mark.parametrize(("seconds", "abandoned"), [(50, False), (70, True), (None, True)])
def test_a_run_of_another_host_is_abandoned_after_a_minute_without_a_sign_of_life(
    training: Training, seconds: int | None, abandoned: bool
) -> None:
    run = request_run(training.database, 7, "Start Training")
    run.host = "elsewhere"
    run.heartbeat = None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)
    assert is_abandoned(training.settings, run) == abandoned


def test_five_presses_while_one_runs_are_one_training(training: Training) -> None:
    training.want(pause=0.02)
    first = request_run(training.database, 7, "Start Training")
    with working(training) as thread:
        training.wait_for(first.id, "step 1")
        for _ in range(5):
            request_run(training.database, 7, "Start Training")
        thread.join(30)
    newest, oldest = list_runs(training.database)
    assert (oldest.id, oldest.state) == (first.id, "promoted")
    assert (newest.state, newest.reason) == ("cancelled", f"nothing new since run {first.id}")
    assert "training" not in training.trace(newest.id)


@pytest.mark.parametrize(
    ("wanted", "state", "reason"),
    [
        ({"labelled": 2}, "failed", "2 tasks have accepted labels, and training starts at 3"),
        ({"fail": "training"}, "failed", "Label Studio refuses the token."),
        ({"crash": "judging"}, "failed", "unforeseen ZeroDivisionError: see `prelabel runs log 1`"),
        ({"promoted": False}, "rejected", "Better by far."),
    ],
)
def test_a_run_says_why_it_ended(
    training: Training, caplog: pytest.LogCaptureFixture, wanted: dict[str, object], state: str, reason: str
) -> None:
    training.want(**wanted)
    run = request_run(training.database, 7, "Start Training")
    claim(training.database, run.id)
    folder = run_folder(training.settings, run)
    folder.mkdir(parents=True)
    steps = FakeSteps(training.settings, training.database, run, folder)
    rules = TriggerRules.of(training.settings)
    TrainingRun(training.database, training.run(run.id), folder, steps, rules).carry_out()
    run = training.run(run.id)
    assert run.state == state
    assert run.reason and run.reason.startswith(reason)
    assert ("Traceback" in caplog.text) == ("crash" in wanted)
    assert "promotion" not in training.trace(run.id)


def test_a_stopped_supervisor_leaves_the_run_to_the_next(training: Training) -> None:
    training.want(pause=0.03)
    run = request_run(training.database, 7, "Start Training")
    with working(training):
        process = training.wait_for(run.id, "step 5").process_id
        assert process
    assert not is_alive(process)
    assert training.run(run.id).state == "running"
    Supervisor(training.settings, training.database, training.supervisor._command).work_off()
    assert training.run(run.id).state == "promoted"
    assert training.trace(run.id).count("step 1") == 1
