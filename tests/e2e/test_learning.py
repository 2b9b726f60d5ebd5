"""The loop against a real Label Studio: people correct predictions, a training starts by itself, its version serves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator import annotate
from label_studio_calls import retrieve_predictions
from learning_server import ENDS, learning_server, promoted_run, runs_of, served, wait_until
from PIL import Image
from typer.testing import CliRunner

from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from prelabel.cli import app
from prelabel.connect.connect import connect_project
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.demo.service import Service, free_port
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.writing import label_config
from prelabel.settings import Settings, as_environment, load_settings

PORT = 28142
SIZE = (240, 320)
FIRST_SCENE = 9_600_000
LABELLED, UNLABELLED = 25, 3
FOREIGN = "somebody-elses-v2"
SECRET = "between us"
TRAINING_LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class Loop:
    """What has happened: a run, started by nobody, that ended; and everything that it needed.

    `base`: the version of the predictions that people corrected; `edits`: what they did to them. `foreign`: an
    unlabelled task with somebody else's prediction, too. `new`: a task that was imported after the run.
    """

    settings: Settings
    server: Service
    project_id: int
    base: str
    edits: Counter[str]
    labelled: list[int]
    unlabelled: list[int]
    foreign: int
    new: int
    run: dict[str, Any]

    def runs(self) -> list[dict[str, Any]]:
        return runs_of(self.server, self.project_id)


@pytest.fixture(scope="module")
def settings(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a prelabel of its own that trains briefly: most of the network stays as it is, and each image is seen 12
    times."""
    return load_settings(
        label_studio_url=client.url,
        label_studio_api_key=demo.backend.access_token,
        port=free_port(PORT),
        prelabel_home=tmp_path_factory.mktemp("learning") / "home",
        prelabel_engine="torch",
        prelabel_weights="starter",
        prelabel_webhook_secret=SECRET,
        prelabel_train_every=LABELLED,
        prelabel_provisional=False,  # people correct the base weights' predictions here
        prelabel_reconcile_minutes=1000,
        prelabel_frozen_stages=4,
        prelabel_train_epochs=12,
        prelabel_learning_rate=1e-3,
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Service]:
    """`prelabel serve`, with its worker."""
    with learning_server(settings) as service:
        yield service


@pytest.fixture(scope="module")
def loop(
    client: LabelStudioClient,
    settings: Settings,
    server: Service,
    tmp_path_factory: pytest.TempPathFactory,
) -> Loop:
    """Predictions, people, a training, a promotion, a new task."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes = [generate_scene(FIRST_SCENE + number, SIZE) for number in range(LABELLED + UNLABELLED + 1)]
    *photos, late = [photo(scene, folder / f"{number}.jpg") for number, scene in enumerate(scenes)]
    project_id = client.create_project("Learning", label_config(SCENE_LABELS, has_masks=False))["id"]
    tasks = client.import_files(project_id, photos)
    base = served(server, project_id)
    connect_project(client, project_id, server.url, base, webhook_secret=SECRET)
    retrieve_predictions(client, project_id, tasks)
    labelled, unlabelled = tasks[:LABELLED], tasks[LABELLED:]
    foreign = {"task": unlabelled[0], "result": [], "score": 0.5, "model_version": FOREIGN}
    client.import_predictions(project_id, [foreign])

    edits = label(client, project_id, dict(zip(labelled, scenes, strict=False)), base)
    run = promoted_run(server, settings, project_id, TRAINING_LIMIT_SECONDS)
    wait_until(
        lambda: all(run["version"] in versions(client, task) for task in unlabelled), "fresh predictions"
    )
    wait_until(lambda: all(base not in versions(client, task) for task in unlabelled), "the old ones' end")
    wait_until(lambda: served(server, project_id) == run["version"], "the server's turn to it")
    (new,) = client.import_files(project_id, [late])
    client.task(new)
    return Loop(settings, server, project_id, base, edits, labelled, unlabelled[1:], unlabelled[0], new, run)


def photo(scene: Scene, path: Path) -> Path:
    write_photo(Image.fromarray(scene.image), path)
    return path


def label(client: LabelStudioClient, project_id: int, scenes: dict[int, Scene], version: str) -> Counter[str]:
    """Submit an annotation for each task, made from its prediction; what was done to the predictions in all."""
    predictions = {
        row["task"]: row for row in client.predictions(project_id) if row["model_version"] == version
    }
    edits = Counter[str]()
    for task, scene in scenes.items():
        result, done = annotate(scene, predictions[task]["result"])
        body = {"result": result, "parent_prediction": predictions[task]["id"], "lead_time": 20.0}
        client.json("POST", f"/api/tasks/{task}/annotations/", json=body)
        edits += done
    return edits


def versions(client: LabelStudioClient, task: int) -> list[str]:
    """Of the task's predictions, as they are stored."""
    return sorted(row["model_version"] for row in client.task_predictions(task))


def test_the_last_of_the_labels_started_the_training(loop: Loop) -> None:
    assert loop.run["requested_by"] == f"{LABELLED} new labels"
    assert loop.run["version"] == f"p{loop.project_id}-v1"
    assert "Better" in loop.run["reason"]


def test_label_studio_shows_the_new_version(client: LabelStudioClient, loop: Loop) -> None:
    (backend,) = attached_backends(client, loop.project_id)
    assert (backend.title, backend.served_version) == (loop.run["version"],) * 2
    assert client.project(loop.project_id)["model_version"] == loop.run["version"]


def test_unlabelled_tasks_have_its_predictions_only(client: LabelStudioClient, loop: Loop) -> None:
    assert [versions(client, task) for task in loop.unlabelled] == [[loop.run["version"]]] * len(
        loop.unlabelled
    )


def test_what_is_somebody_elses_stays(client: LabelStudioClient, loop: Loop) -> None:
    assert versions(client, loop.foreign) == sorted([FOREIGN, loop.run["version"]])


def test_what_annotations_were_made_from_stays(client: LabelStudioClient, loop: Loop) -> None:
    assert [versions(client, task) for task in loop.labelled] == [[loop.base]] * LABELLED


def test_a_new_task_is_predicted_by_it(client: LabelStudioClient, loop: Loop) -> None:
    assert versions(client, loop.new) == [loop.run["version"]]


def test_stats_counts_what_people_did(loop: Loop, tmp_path: Path) -> None:
    assert all(loop.edits[fate] for fate in ("kept", "changed", "added", "deleted")), loop.edits
    file = tmp_path / "stats.json"
    command = ["stats", "--project", str(loop.project_id), "--json", str(file)]
    result = CliRunner().invoke(app, command, env=as_environment(loop.settings))
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    counted = found["versions"][loop.base]
    assert counted["annotations"] == LABELLED and found["annotations_by_hand"] == 0
    assert {fate: counted[fate] for fate in loop.edits} == {
        fate: {"box": n} for fate, n in loop.edits.items()
    }


def test_start_training_pressed_five_times_trains_nothing_new(client: LabelStudioClient, loop: Loop) -> None:
    (backend,) = attached_backends(client, loop.project_id)
    for _ in range(5):
        client.request("POST", f"/api/ml/{backend.id}/train", json={})
    wait_until(lambda: len(loop.runs()) > 1, "a run that was asked for")
    wait_until(lambda: {run["state"] for run in loop.runs()} <= ENDS, "the end of all runs")
    *later, first = loop.runs()
    assert first["id"] == loop.run["id"] and len(later) <= 2
    nothing = ("Start Training", "cancelled", f"nothing new since run {first['id']}")
    assert {(run["requested_by"], run["state"], run["reason"]) for run in later} == {nothing}
