"""What events start, what the secret lets in, and the list of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from serving import WEBHOOKS, Serving, captured
from training_stand_in import wait_until

from prelabel.server import webhooks
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, finish, note_labels, report
from prelabel.store.runs import RunState, Stage, list_runs
from prelabel.worker.wake_up import WakeUpMessages


@pytest.fixture
def serving(serve: Callable[..., Serving], load: Callable[[], Any]) -> Serving:
    return serve(load, prelabel_train_every=3)


def send(client: FlaskClient, payload: Any, **headers: str) -> int:
    return client.post("/webhook", json=payload, headers=headers).status_code


def created(number: int, project: int = 7) -> dict[str, Any]:
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": number, "was_cancelled": False},
        "project": {"id": project, "num_tasks_with_annotations": 20},
    }


@pytest.mark.parametrize("name", WEBHOOKS)
def test_no_recorded_event_but_start_training_starts_anything(
    serving: Serving, database: Database, name: str
) -> None:
    assert send(serving.client, captured(name)) == 201
    started = [run.requested_by for run in list_runs(database)]
    assert started == (["Start Training"] if name.startswith("train") else [])


def test_every_third_label_starts_a_training_once(serving: Serving, database: Database) -> None:
    for number in range(2):
        send(serving.client, created(number))
        send(serving.client, created(number))  # delivered twice
    assert list_runs(database) == []
    for number in range(2, 8):
        send(serving.client, created(number))
        send(serving.client, created(number, project=8) | {"action": "ANNOTATION_UPDATED"})
    assert [(run.project_id, run.requested_by) for run in list_runs(database)] == [(7, "3 new labels")]


def test_changed_labels_wake_the_worker_once_for_a_burst(
    serve: Callable[..., Serving], load: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[None] = []

    def send_message(messages: WakeUpMessages) -> None:
        if Path(messages.huey.storage.filename).parent == tmp_path:  # a test before may still be sending
            sent.append(None)

    monkeypatch.setattr(WakeUpMessages, "send", send_message)
    monkeypatch.setattr(webhooks, "WAKE_SECONDS", 60.0)
    client = serve(load, prelabel_train_every=0).client
    for number in range(10):
        send(client, created(number))
    wait_until(lambda: sent, "a message")
    assert len(sent) == 1
    quiet = serve(load, prelabel_train_every=0, prelabel_provisional=False).client
    send(quiet, created(11) | {"action": "ANNOTATION_UPDATED"})
    send(quiet, created(12) | {"action": "TASKS_CREATED"})
    assert len(sent) == 1


def test_labels_of_a_failed_run_count_on_and_another_three_start_one_at_once(
    serving: Serving, database: Database
) -> None:
    for number in range(3):
        send(serving.client, created(number))
    (run,) = list_runs(database)
    claim(database, run.id)
    note_labels(database, run.id, 3)
    send(serving.client, created(3))  # while it trains
    finish(database, run.id, RunState.FAILED, "Label Studio cannot be reached.")
    send(serving.client, created(4))
    assert len(list_runs(database)) == 1
    send(serving.client, created(5))
    assert [run.requested_by for run in list_runs(database)] == ["6 new labels", "3 new labels"]


def test_a_request_wakes_the_worker(serving: Serving, database: Database, tmp_path: Any) -> None:
    send(serving.client, captured("train_START_TRAINING"))
    messages = WakeUpMessages(load_settings(prelabel_home=tmp_path)).huey
    wait_until(lambda: messages.pending_count() == 1, "a message")


def test_start_training_pressed_again_is_one_run_and_a_retry_after_a_failure(
    serving: Serving, database: Database
) -> None:
    payload = captured("train_START_TRAINING")
    assert [send(serving.client, payload) for _ in range(5)] == [201, 200, 200, 200, 200]
    (run,) = list_runs(database)
    claim(database, run.id)
    finish(database, run.id, RunState.FAILED, "no disk")
    assert send(serving.client, payload) == 200
    assert [run.state for run in list_runs(database)] == ["queued", "failed"]


@pytest.mark.parametrize("project", [{"id": -1}, {"id": "7"}, None, {"id": 2**40}])
def test_a_project_that_cannot_be_starts_nothing(serving: Serving, database: Database, project: Any) -> None:
    assert send(serving.client, {"action": "START_TRAINING", "project": project}) == 201
    assert list_runs(database) == []


def test_the_secret_is_asked_of_webhooks_and_not_of_the_button(
    serve: Callable[..., Serving], load: Callable[[], Any], database: Database
) -> None:
    client = serve(load, prelabel_webhook_secret="s3cret-word").client
    refused = client.post("/webhook", json=created(1), headers={"X-Prelabel-Secret": "wrong"})
    assert refused.status_code == 401
    assert refused.json == {"error": "The header X-Prelabel-Secret is missing or wrong."}
    assert send(client, created(1)) == 401
    assert send(client, created(1), **{"X-Prelabel-Secret": "s3cret-wörd"}) == 401
    assert send(client, created(1), **{"X-Prelabel-Secret": "s3cret-word"}) == 201
    assert send(client, captured("train_START_TRAINING")) == 201


def test_the_runs_of_a_project_newest_first(serving: Serving, database: Database) -> None:
    send(serving.client, captured("train_START_TRAINING"))
    (run,) = list_runs(database)
    claim(database, run.id)
    report(database, run.id, Stage.TRAINING, 40, 100, 300.0)
    send(serving.client, captured("train_START_TRAINING"))
    newest, oldest = serving.client.get(f"/api/projects/{run.project_id}/runs").json
    assert (newest["state"], newest["stage"], newest["eta"]) == ("queued", None, None)
    assert (oldest["state"], oldest["stage"], oldest["step"], oldest["steps"], oldest["eta"]) == (
        "running",
        "training",
        40,
        100,
        "5 min",
    )
    assert oldest["requested_at"].endswith("+00:00")
    assert serving.client.get("/api/projects/99/runs").json == []


def test_the_runs_are_behind_the_password(serve: Callable[..., Serving], load: Callable[[], Any]) -> None:
    client = serve(load, basic_auth_user="ann", basic_auth_pass="pass").client
    assert client.get("/api/projects/7/runs").status_code == 401
    assert client.get("/api/projects/7/runs", auth=("ann", "pass")).status_code == 200
