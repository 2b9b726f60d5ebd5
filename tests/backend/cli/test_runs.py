"""`prelabel runs`: what people read of a run, and how they end one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

import pytest
from typer.testing import CliRunner

from prelabel.cli.runs import app
from prelabel.folders import LOG, run_folder
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, finish, note_labels, report, request_run
from prelabel.store.runs import RunState, Stage, get_run


@pytest.fixture
def store(tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    database = Database.open(load_settings().database_url)
    yield database
    database.close()


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def running(store: Database) -> int:
    run = request_run(store, 7, "20 new labels")
    claim(store, run.id)
    report(store, run.id, Stage.TRAINING, 40, 100, 300.0)
    return run.id


def test_the_list(store: Database) -> None:
    assert "There are no runs yet" in said("list")
    first = request_run(store, 7, "Start Training")
    claim(store, first.id)
    finish(store, first.id, RunState.PROMOTED, "Better by far.", "p7-v1")
    running(store)
    request_run(store, 8, "timer")
    lines = said("list").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["3", "8"], ["2", "7"], ["1", "7"]]
    assert "running: training 40/100, 5 min left" in lines[2]
    assert lines[3].rstrip().endswith("p7-v1    Better by far.")
    assert len(said("list", "--project", "8").splitlines()) == 2


def test_a_failed_run_says_when_it_is_tried_again(store: Database) -> None:
    now = datetime.now(UTC)
    run_id = running(store)
    soon = now.astimezone().replace(hour=23, minute=59)
    finish(store, run_id, RunState.FAILED, "no disk", retry_at=soon)
    assert "failed, tried again at 23:59" in said("list")
    assert "failed, tried again at 23:59" in said("show", str(run_id))
    assert f"Run {run_id} is not tried again by itself." in said("cancel", str(run_id))
    assert "tried again" not in said("list")
    run_id = running(store)
    finish(store, run_id, RunState.FAILED, "no disk", retry_at=soon + timedelta(days=1))
    assert f"failed, tried again on {soon + timedelta(days=1):%Y-%m-%d} at 23:59" in said("list")


def test_a_run_that_waits_for_labels_says_so_and_for_how_long(store: Database) -> None:
    run = request_run(store, 7, "5 new labels", timedelta(minutes=1))
    sentence = r"queued: waits for more labels, (59|60) s at most"
    assert re.search(sentence, said("list")) and re.search(f"state +{sentence}", said("show", str(run.id)))
    request_run(store, 7, "Start Training")
    assert re.search(r"state +queued\n", said("show", str(run.id)))
    request_run(store, 8, "5 new labels", timedelta(0))
    assert "waits" not in said("list")


def test_one_run(store: Database) -> None:
    run_id = running(store)
    note_labels(store, run_id, 23)
    text = said("show", str(run_id))
    assert "state          running: training 40/100, 5 min left" in text
    assert "labelled tasks 23" in text
    assert re.search(rf"/projects/7/runs/{run_id}-[0-9T.]+/run\.log$", text, re.MULTILINE)
    assert "There is no run 99" in said("show", "99", code=1)


def test_cancelling(store: Database) -> None:
    run_id = running(store)
    assert said("cancel", str(run_id)) == f"Run {run_id} is cancelled.\n"  # there is no process to end
    assert get_run(store, run_id).state == RunState.CANCELLED
    assert f"Run {run_id} is cancelled and cannot be cancelled" in said("cancel", str(run_id), code=1)


def test_the_log(store: Database) -> None:
    run_id = running(store)
    assert f"Run {run_id} is running and has no log on this machine" in said("log", str(run_id), code=1)
    log = run_folder(load_settings(), get_run(store, run_id)) / LOG
    log.parent.mkdir(parents=True)
    log.write_text("step 1 [red]of\n")
    assert said("log", str(run_id)) == "step 1 [red]of\n"

    def end() -> None:
        with log.open("a") as file:
            file.write("last wörds\n")
        finish(store, run_id, RunState.FAILED, "no disk")

    Timer(0.3, end).start()
    assert said("log", str(run_id), "--follow") == "step 1 [red]of\nlast wörds\n"
