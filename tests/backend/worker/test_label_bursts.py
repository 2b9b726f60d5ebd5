"""Labels that come in bursts, from webhooks through the app and the store to what the worker starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from serving import Serving, captured
from training_stand_in import Training, wait_until

from prelabel.server import webhooks
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, finish, note_labels, request_cancel, request_run
from prelabel.store.runs import RunState, list_runs, new_labels
from prelabel.training import bursts
from prelabel.worker import supervision

PROJECT = 7


class Project:
    """A project whose labels come by webhooks; its trainings only pretend, and see as many tasks as were submitted."""

    def __init__(self, home: Path, url: str, load: Callable[[], Any]) -> None:
        fixed = {"prelabel_database_url": url, "prelabel_train_min_labels": 5}
        settings = load_settings(prelabel_home=home, **fixed)
        self.database = Database.open(url)
        self.serving = Serving(home, self.database, load, **fixed)
        self.training = Training(settings, self.database)
        self.submitted = 0
        self._lock = threading.Lock()

    def submit(self, _: Any = None) -> None:
        """One more task is labelled."""
        with self._lock:
            self.submitted += 1
            number = self.submitted
            self.training.want(labelled=number, digest=f"labels-{number}")
        project = {"id": PROJECT, "num_tasks_with_annotations": number}
        annotation = {"id": number, "was_cancelled": False}
        payload = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": project}
        assert self.serving.app.test_client().post("/webhook", json=payload).status_code == 201

    def press(self) -> None:
        payload = captured("train_START_TRAINING") | {"project": {"id": PROJECT}}
        self.serving.client.post("/webhook", json=payload)

    def runs(self) -> list[tuple[str, str]]:
        """Oldest first: what each was requested by, and its state."""
        return [(run.requested_by, run.state) for run in list_runs(self.database)[::-1]]

    @contextmanager
    def worker(self) -> Iterator[threading.Thread]:
        """Looks for runs for as long as the block lasts; a worker that is gone is the next one's beginning."""
        supervisor = Training(self.training.settings, self.database).supervisor
        thread = threading.Thread(target=supervisor.work_off)
        thread.start()
        try:
            yield thread
        finally:
            supervisor.stop()
            thread.join()


@pytest.fixture
def project(
    tmp_path: Path, url: str, load: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    monkeypatch.setenv("FAKE_TRAINING", "{}")
    monkeypatch.setattr(supervision, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(bursts, "QUIET", timedelta(hours=1))
    project = Project(tmp_path / "home", url, load)
    yield project
    project.database.close()


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Labels have stopped coming."""
    return lambda: monkeypatch.setattr(bursts, "QUIET", timedelta())


def read(project: Project, tasks: int) -> int:
    """A run of the project that has begun to read the labels."""
    (run,) = [run for run in list_runs(project.database) if run.state == RunState.QUEUED]
    assert claim(project.database, run.id)
    note_labels(project.database, run.id, tasks)
    return run.id


def test_runs_come_as_the_labels_grow(project: Project) -> None:
    starts = []
    for _ in range(30):
        project.submit()
        if any(state == "queued" for _, state in project.runs()):
            starts.append(project.submitted)
            finish(project.database, read(project, project.submitted), RunState.REJECTED, "worse")
    assert starts == [5, 8, 12, 18, 27]


def test_a_burst_is_one_run_that_sees_all_of_it(project: Project, pause: Callable[[], None]) -> None:
    for _ in range(5):
        project.submit()
    with project.worker() as worker:
        for _ in range(9):
            project.submit()
        assert project.runs() == [("5 new labels", "queued")]
        pause()
        worker.join()
    (run,) = list_runs(project.database)
    assert (run.requested_by, run.accepted, run.snapshot_digest) == ("5 new labels", 14, "labels-14")
    assert new_labels(project.database, PROJECT).counted == 0


def test_a_burst_in_many_threads_is_one_run(project: Project, pause: Callable[[], None]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(project.submit, range(40)))
    pause()
    with project.worker() as worker:
        worker.join()
    (run,) = list_runs(project.database)
    assert (run.state, run.accepted) == ("promoted", 40)
    assert new_labels(project.database, PROJECT).counted == 0


def test_labels_that_keep_coming_delay_a_run_only_so_long(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PATIENCE", timedelta(seconds=0.5))
    for _ in range(5):
        project.submit()
    with project.worker() as worker:
        worker.join()
    (run,) = list_runs(project.database)
    assert run.state == "promoted" and run.started_at and run.starts_by and run.started_at >= run.starts_by


def test_a_burst_during_a_run_counts_against_what_that_run_read(project: Project) -> None:
    for _ in range(5):
        project.submit()
    run_id = read(project, 5)
    for _ in range(2):
        project.submit()
    assert len(project.runs()) == 1
    for _ in range(6):
        project.submit()
    assert project.runs() == [("5 new labels", "running"), ("8 new labels", "queued")]
    finish(project.database, run_id, RunState.PROMOTED, "better")
    finish(project.database, read(project, 13), RunState.PROMOTED, "better")
    for _ in range(6):
        project.submit()
    assert len(project.runs()) == 2
    project.submit()
    assert project.runs()[-1] == ("7 new labels", "queued")


def test_labels_between_the_start_of_a_run_and_its_reading_are_read_by_it(project: Project) -> None:
    for _ in range(5):
        project.submit()
    (run,) = list_runs(project.database)
    assert claim(project.database, run.id)
    for _ in range(20):
        project.submit()
    assert project.runs() == [("5 new labels", "running")]
    note_labels(project.database, run.id, 25)
    finish(project.database, run.id, RunState.REJECTED, "worse")
    assert new_labels(project.database, PROJECT).counted == 0


def test_a_person_who_presses_start_training_waits_for_nobody(project: Project) -> None:
    for _ in range(5):
        project.submit()
    with project.worker() as worker:
        worker.join(0.3)
        assert project.runs() == [("5 new labels", "queued")]
        project.press()
        worker.join()
    assert project.runs() == [("Start Training", "promoted")]


def test_a_run_that_waits_outlives_the_worker_and_another_project_is_not_kept(
    project: Project, pause: Callable[[], None]
) -> None:
    for _ in range(5):
        project.submit()
    with project.worker() as worker:
        other = request_run(project.database, 8, "Start Training")
        wait_until(lambda: project.training.run(other.id).state == "promoted", "the other project's run")
        assert worker.is_alive()
    assert project.runs()[0] == ("5 new labels", "queued")
    pause()
    with project.worker() as worker:
        worker.join()
    assert project.runs()[0] == ("5 new labels", "promoted")


def fail_before_reading(project: Project, run_id: int) -> None:
    assert claim(project.database, run_id)
    finish(project.database, run_id, RunState.FAILED, "Label Studio refuses the token.")


def fail(project: Project, run_id: int) -> None:
    finish(project.database, read(project, 5), RunState.FAILED, "no disk")


def cancel(project: Project, run_id: int) -> None:
    request_cancel(project.database, run_id)


@pytest.mark.parametrize("end", [fail_before_reading, fail, cancel])
def test_after_a_run_without_a_decision_the_very_next_label_starts_none(
    project: Project, end: Callable[[Project, int], None]
) -> None:
    for _ in range(5):
        project.submit()
    end(project, list_runs(project.database)[0].id)
    for _ in range(2):
        project.submit()
    assert len(project.runs()) == 1
    project.submit()
    assert [by for by, _ in project.runs()] == ["5 new labels", "8 new labels"]
