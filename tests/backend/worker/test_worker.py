"""The worker as a process: woken by a message, one per home, ended with its server, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from label_studio_stand_in import PROJECT, label_studio_stand_in
from serving import free_port
from training_stand_in import COMMAND, Training, is_alive, wait_until

from prelabel.folders import WORKER_LOCK, is_held
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.label_counts import note_change, note_project
from prelabel.store.runs import list_runs
from prelabel.worker.keeper import WorkerKeeper
from prelabel.worker.reconcile import Reconciliation
from prelabel.worker.wake_up import WakeUpMessages, request_and_wake

WORKER = f"""
import sys
from functools import partial
from prelabel.worker import worker
worker.Supervisor = partial(worker.Supervisor, command={COMMAND!r})
sys.exit(worker.main())
"""
FAKE_WORKER = (sys.executable, "-c", WORKER)
SERVE = f"""
from prelabel.worker import keeper
from fbnetv3.weights import WeightsError
from prelabel.server import process
from prelabel.settings import load_settings
keeper.WORKER = {FAKE_WORKER!r}
def fail(settings):
    raise WeightsError("there is no model in this test")
process._load = fail
process.serve(load_settings())
"""


@pytest.fixture
def training(tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    monkeypatch.setenv("FAKE_TRAINING", "{}")
    settings = load_settings(prelabel_home=tmp_path, prelabel_train_min_labels=5)
    database = Database.open(settings.database_url)
    yield Training(settings, database)
    database.close()


@contextmanager
def process_of(command: list[str], home: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child that lives by its standard input; its output goes to home/log."""
    variables = {**os.environ, "PRELABEL_HOME": str(home), **environment}
    with (home / "log").open("ab") as log:
        child = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def worker_runs(home: Path) -> bool:
    return is_held(home / WORKER_LOCK)


def test_a_worker_trains_is_the_only_one_and_is_survived_by_its_run(training: Training) -> None:
    home = training.settings.prelabel_home
    messages = WakeUpMessages(training.settings)
    training.want(pause=0.03)
    with process_of(list(FAKE_WORKER), home) as worker:
        wait_until(lambda: worker_runs(home), "a worker")
        second = [
            sys.executable,
            "-c",
            "import typer; from prelabel.cli.worker import worker; typer.run(worker)",
        ]
        with process_of(second, home) as other:
            assert other.wait(20) == 0
        run = request_and_wake(training.database, messages, 7, "command")
        process = training.wait_for(run.id, "step 3").process_id
        assert process
        worker.kill()
        wait_until(lambda: not is_alive(process), "the end of the training")
    assert training.run(run.id).state == "running"
    assert f"Nothing to do: another worker runs for {home}" in (home / "log").read_text()
    with process_of(list(FAKE_WORKER), home) as worker:
        wait_until(lambda: training.run(run.id).state == "promoted", "a promotion")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert training.trace(run.id).count("step 1") == 1
    assert "Traceback" not in (home / "log").read_text()


def test_a_run_that_waits_for_labels_outlives_its_worker(training: Training) -> None:
    home = training.settings.prelabel_home
    messages = WakeUpMessages(training.settings)
    with process_of(list(FAKE_WORKER), home) as worker:
        wait_until(lambda: worker_runs(home), "a worker")
        run = request_and_wake(training.database, messages, 7, "5 new labels", timedelta(seconds=6))
        wait_until(lambda: messages.huey.pending_count() == 0, "a worker that was woken")
        worker.kill()
        wait_until(lambda: not worker_runs(home), "its end")
    assert training.run(run.id).state == "queued"
    with process_of(list(FAKE_WORKER), home):
        wait_until(lambda: training.run(run.id).state == "promoted", "a promotion")
    ended = training.run(run.id)
    assert ended.started_at and ended.starts_by and ended.started_at >= ended.starts_by
    assert "Traceback" not in (home / "log").read_text()


def test_labels_are_learnt_while_a_run_trains(training: Training) -> None:
    home = training.settings.prelabel_home
    learns = (sys.executable, "-c", f"open({str(home / 'learnt')!r}, 'w')")
    command = WORKER.replace(
        "sys.exit",
        f"worker.ProvisionalProcess = partial(worker.ProvisionalProcess, command={learns!r})\nsys.exit",
    )
    messages = WakeUpMessages(training.settings)
    training.want(pause=0.5)
    with process_of([sys.executable, "-c", command], home, LABEL_STUDIO_API_KEY="legacy-token"):
        wait_until(lambda: worker_runs(home), "a worker")
        run = request_and_wake(training.database, messages, 7, "command")
        training.wait_for(run.id, "step 1")
        assert not (home / "learnt").exists()
        note_change(training.database, 7)
        messages.send()
        wait_until(lambda: (home / "learnt").exists(), "the process that learns")
        assert training.run(run.id).state == "running"


def test_the_worker_imports_no_torch() -> None:
    heavy = {"torch", "label_studio_sdk", "matplotlib", "tensorboard"}
    code = f"import sys, prelabel.worker.worker; print({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_worker_ends_with_its_server(training: Training, how: int) -> None:
    home = training.settings.prelabel_home
    training.want(pause=0.5)
    with process_of([sys.executable, "-c", SERVE], home, PORT=str(free_port())) as server:
        wait_until(lambda: worker_runs(home), "a worker")
        run = request_and_wake(training.database, WakeUpMessages(training.settings), 7, "command")
        process = training.wait_for(run.id, "step 1").process_id
        assert process
        server.send_signal(how)
        server.wait(20)
        wait_until(lambda: not worker_runs(home) and not is_alive(process), "the end of worker and training")
    assert training.run(run.id).state == "running"


def test_a_worker_that_dies_is_started_again(
    tmp_path: Path, bare_environment: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prelabel.worker.keeper.FIRST_PAUSE", 0.1)
    log = tmp_path / "starts"
    command = (sys.executable, "-c", f"open({str(log)!r}, 'a').write('x')")
    keeper = WorkerKeeper(load_settings(prelabel_home=tmp_path), command)
    keeper.start()
    wait_until(lambda: log.exists() and len(log.read_text()) == 3, "three starts")
    keeper.stop()
    assert "the worker ended and is started again" in caplog.text
    time.sleep(0.3)
    assert len(log.read_text()) == 3


def test_labels_that_no_webhook_told_of_are_found(training: Training) -> None:
    messages = WakeUpMessages(training.settings)
    with label_studio_stand_in() as studio:
        note_project(training.database, PROJECT)
        note_project(training.database, 99)
        for labelled, requested in ((4, []), (5, ["5 new labels, found by asking"])):
            studio.project["num_tasks_with_annotations"] = labelled
            asking = Reconciliation(training.settings, training.database, messages, studio.client())
            asking.run_if_due()
            asking.run_if_due()  # not due again
            assert [run.requested_by for run in list_runs(training.database)] == requested


def test_a_project_that_is_gone_keeps_no_other_from_being_asked(training: Training) -> None:
    messages = WakeUpMessages(training.settings)
    with label_studio_stand_in() as studio:
        for project_id in (PROJECT - 1, PROJECT):  # the first one is not there
            note_project(training.database, project_id)
        studio.project["num_tasks_with_annotations"] = 20
        Reconciliation(training.settings, training.database, messages, studio.client()).run_if_due()
    assert [run.project_id for run in list_runs(training.database)] == [PROJECT]


def test_a_label_studio_that_is_away_is_a_line_in_the_log(
    training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    note_project(training.database, 7)
    note_project(training.database, 8)
    client = LabelStudioClient("http://127.0.0.1:9", "legacy-token")
    Reconciliation(
        training.settings, training.database, WakeUpMessages(training.settings), client
    ).run_if_due()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("prelabel")]
    assert len(ours) == 1
    assert ours[0].startswith("project 7: its labels could not be counted: ")
    assert list_runs(training.database) == []
