"""Failed runs that are tried again: which, when, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_training import FakeSteps
from training_stand_in import Training

from fbnetv3.config import ConfigError
from fbnetv3.data.snapshot import SnapshotError
from fbnetv3.finetuning import TrainingError
from fbnetv3.weights import WeightsError
from prelabel.folders import run_folder
from prelabel.labels.snapshots import NothingToLearn
from prelabel.labelstudio.errors import LabelConfigError, LabelStudioError
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, finish, request_run
from prelabel.store.runs import Run, RunState, get_run, list_runs
from prelabel.training import retries
from prelabel.training.retries import delay_after, fail_run, request_due_retries
from prelabel.training.steps import _foreseen
from prelabel.training.training_run import RunFailed, TrainingRun
from prelabel.training.triggers import TriggerRules


@pytest.fixture
def training(tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Training]:
    monkeypatch.setenv("FAKE_TRAINING", "{}")
    settings = load_settings(prelabel_home=tmp_path / "home")
    database = Database.open(settings.database_url)
    yield Training(settings, database)
    database.close()


def carry_out(training: Training, run: Run) -> Run:
    """The queued run as it ends in this process."""
    assert claim(training.database, run.id)
    folder = run_folder(training.settings, run)
    folder.mkdir(parents=True)
    steps = FakeSteps(training.settings, training.database, run, folder)
    rules = TriggerRules.of(training.settings)
    TrainingRun(training.database, training.run(run.id), folder, steps, rules).carry_out()
    return training.run(run.id)


def requested(training: Training) -> Run:
    return request_run(training.database, 7, "20 new labels")


def test_delays_grow_from_minutes_to_a_day() -> None:
    minutes = [delay_after(failures) / timedelta(minutes=1) for failures in range(1, 12)]
    assert minutes == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]
    assert delay_after(10_000) == timedelta(days=1)


def test_each_failure_in_a_row_waits_longer_and_a_verdict_begins_again(database: Database) -> None:
    waits = []
    for end in (None, None, RunState.REJECTED, None):
        run = request_run(database, 7, "Start Training")
        claim(database, run.id)
        if end:
            finish(database, run.id, end, "worse")
            continue
        fail_run(database, run, "Label Studio cannot be reached.")
        failed = get_run(database, run.id)
        assert failed.retry_at and failed.finished_at
        waits.append(round((failed.retry_at - failed.finished_at) / timedelta(minutes=1)))
    assert waits == [5, 10, 5]


def test_a_failed_run_is_requested_again_by_the_worker_once_it_is_due(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.want(fail="training")
    failed = carry_out(training, requested(training))
    assert (failed.state, failed.accepted) == ("failed", 12)
    request_due_retries(training.database)
    assert len(list_runs(training.database)) == 1
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    reopened = Database.open(training.settings.database_url)  # as after a restart
    monkeypatch.setattr(retries, "datetime", type("Clock", (), {"now": lambda zone: in_an_hour}))
    for _ in range(2):
        request_due_retries(reopened)
    reopened.close()
    monkeypatch.undo()
    monkeypatch.setenv("FAKE_TRAINING", "{}")
    again, _ = list_runs(training.database)
    assert (again.state, again.requested_by) == ("queued", f"run {failed.id} failed")
    assert carry_out(training, again).state == "promoted"
    assert not any(run.retry_at for run in list_runs(training.database))


@pytest.mark.parametrize(
    ("wanted", "is_retried"),
    [
        ({"fail": "labels"}, True),
        ({"fail": "training"}, True),
        ({"crash": "judging"}, True),
        ({"fail": "promotion"}, True),
        ({"labelled": 4}, False),
        ({"promoted": False}, False),
        ({}, False),
    ],
)
def test_which_runs_are_tried_again(training: Training, wanted: dict[str, object], is_retried: bool) -> None:
    training.want(**wanted)
    run = carry_out(training, requested(training))
    assert (run.retry_at is not None) == is_retried


def test_nothing_new_is_not_tried_again(training: Training) -> None:
    carry_out(training, requested(training))
    run = carry_out(training, requested(training))
    assert (run.state, run.retry_at) == ("cancelled", None)


def test_a_run_that_dies_each_time_is_tried_again_later(training: Training) -> None:
    training.want(die="labels")
    run = requested(training)
    training.supervisor.work_off()
    ended = training.run(run.id)
    assert (ended.state, ended.retry_at is not None) == ("failed", True)


@pytest.mark.parametrize(
    ("error", "is_lasting"),
    [
        (LabelStudioError("Label Studio cannot be reached."), False),
        (LabelStudioError("Label Studio refuses the token.", 401), False),
        (SnapshotError("none of the labelled images can be used"), False),
        (NothingToLearn("project 7 has no accepted labels"), True),
        (LabelConfigError("the labelling config is no XML"), True),
        (TrainingError("loss is nan: training diverged; lower the learning rate"), True),
        (WeightsError("the disk is full"), False),
        (ConfigError("PRELABEL_NORM must be one of"), True),
    ],
)
def test_which_failures_only_labels_or_a_person_can_mend(error: Exception, is_lasting: bool) -> None:
    with pytest.raises(RunFailed, match=str(error)) as failed, _foreseen():
        raise error
    assert failed.value.is_lasting is is_lasting
