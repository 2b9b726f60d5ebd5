"""The process that makes provisional versions: started when labels wait, once, again when it died, not without need."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from label_studio_stand_in import PROJECT, label_studio_stand_in
from training_stand_in import is_alive, wait_until

from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.label_counts import note_change, note_project
from prelabel.store.provisional import LabelsRead, note_read, projects_to_make
from prelabel.worker import provisional
from prelabel.worker.provisional import Making, ProvisionalProcess
from prelabel.worker.reconcile import Reconciliation
from prelabel.worker.wake_up import WakeUpMessages


@pytest.fixture
def settings(tmp_path: Path, bare_environment: None) -> Settings:
    return load_settings(prelabel_home=tmp_path, label_studio_api_key="legacy-token")


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A line with its id for every process that was started."""
    return tmp_path / "starts"


def command(starts: Path, then: str) -> tuple[str, ...]:
    code = f"import os, sys, time; print(os.getpid(), file=open({str(starts)!r}, 'a')); {then}"
    return (sys.executable, "-c", code)


def processes(starts: Path) -> list[int]:
    return [int(line) for line in starts.read_text().split()] if starts.exists() else []


@pytest.fixture
def process(
    settings: Settings, database: Database, starts: Path
) -> Iterator[Callable[[str], ProvisionalProcess]]:
    made: list[ProvisionalProcess] = []

    def make(then: str) -> ProvisionalProcess:
        made.append(ProvisionalProcess(settings, database, command(starts, then)))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_it_runs_while_labels_wait_and_once(
    process: Callable[[str], ProvisionalProcess], database: Database, starts: Path
) -> None:
    one = process("time.sleep(60)")
    note_project(database, PROJECT)
    one.look()
    time.sleep(0.2)
    assert processes(starts) == []
    note_change(database, PROJECT)
    for _ in range(3):
        one.look()
    wait_until(lambda: processes(starts), "a process")
    [number] = processes(starts)
    one.stop()
    assert not is_alive(number)
    one.look()
    assert processes(starts) == [number]


def test_labels_that_came_while_it_ended_are_seen_to_by_another(
    process: Callable[[str], ProvisionalProcess], database: Database, starts: Path
) -> None:
    note_change(database, PROJECT)
    one = process("sys.exit(0)")
    one.look()
    wait_until(lambda: len(processes(starts)) >= 2, "another one")
    note_read(database, PROJECT, LabelsRead(1, 1))


def test_one_that_fails_is_started_again_later(
    process: Callable[[str], ProvisionalProcess],
    database: Database,
    starts: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    note_change(database, PROJECT)
    one = process("sys.exit(1)")
    one.look()
    wait_until(lambda: "ended with 1" in caplog.text, "its end")
    wait_until(lambda: one._process is None, "its end")
    one.look()
    time.sleep(0.2)
    assert len(processes(starts)) == 1
    monkeypatch.setattr(provisional, "RETRY_SECONDS", 0.0)
    one._not_before = 0.0
    one.look()
    wait_until(lambda: len(processes(starts)) >= 2, "another one")


def test_one_that_was_killed_leaves_labels_that_wait(
    process: Callable[[str], ProvisionalProcess],
    database: Database,
    starts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provisional, "RETRY_SECONDS", 0.0)
    note_change(database, PROJECT)
    process("time.sleep(60)").look()
    wait_until(lambda: processes(starts), "a process")
    os.kill(processes(starts)[0], signal.SIGKILL)
    wait_until(lambda: len(processes(starts)) == 2, "another one")


@pytest.mark.parametrize("unset", [{"prelabel_provisional": False}, {"label_studio_api_key": None}])
def test_without_need_or_token_there_is_none(
    settings: Settings, database: Database, starts: Path, unset: dict[str, Any]
) -> None:
    note_change(database, PROJECT)
    ProvisionalProcess(settings.model_copy(update=unset), database, command(starts, "")).look()
    time.sleep(0.2)
    assert processes(starts) == []


class Maker:
    """Makes nothing and says that it did; the projects in `broken` fail."""

    def __init__(self, database: Database, *broken: int) -> None:
        self.database, self.broken, self.asked = database, broken, list[int]()

    def make(self, project_id: int) -> None:
        self.asked.append(project_id)
        if project_id in self.broken:
            raise LabelStudioError("Label Studio cannot be reached.")
        note_read(self.database, project_id, LabelsRead(projects_to_make(self.database)[project_id], 1))


def test_a_burst_is_one_and_a_failure_is_a_line(
    settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        note_change(database, PROJECT)
    note_change(database, PROJECT + 1)
    maker = Maker(database, PROJECT)
    making = Making(settings, database, SimpleNamespace(), SimpleNamespace(), maker)

    def tired(seconds: float) -> None:
        if len(maker.asked) == 2:
            note_read(database, PROJECT, LabelsRead(50, 1))

    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr(provisional, "sleep", tired)
        making.work(idle_seconds=0.1)
    assert sorted(maker.asked) == [PROJECT, PROJECT + 1]
    assert caplog.messages == ["project 7: no provisional version now: Label Studio cannot be reached."]


def test_labels_that_no_webhook_told_of_become_due(settings: Settings, database: Database) -> None:
    note_project(database, PROJECT)
    with label_studio_stand_in() as studio:
        for labelled, due in ((0, {}), (3, {PROJECT: 1})):
            studio.project["num_tasks_with_annotations"] = labelled
            messages = WakeUpMessages(settings)
            Reconciliation(settings, database, messages, studio.client()).run_if_due()
            assert projects_to_make(database) == due
