"""A provisional version in a real Label Studio: one task is labelled, and the next one shows the new label, before any
training; a worker that is killed in between costs nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from annotator import _region
from label_studio_calls import retrieve_predictions
from learning_server import learning_server, runs_of, served, wait_until
from PIL import Image
from typer.testing import CliRunner

from fbnetv3.scenes import Scene, generate_scene
from prelabel.cli import app
from prelabel.connect.connect import connect_project
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.demo.service import Service, free_port
from prelabel.folders import WORKER_LOCK
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.writing import label_config
from prelabel.settings import Settings, as_environment, load_settings

PORT = 28160
SIZE = (240, 320)
FIRST_SCENE = 9_700_000
TASKS = 8
LABELS = ("Ding", "Dong")
"""Names that no weights know: everything in a scene is a Ding."""


@pytest.fixture(scope="module")
def settings(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        label_studio_url=client.url,
        label_studio_api_key=demo.backend.access_token,
        port=free_port(PORT),
        prelabel_home=tmp_path_factory.mktemp("provisional") / "home",
        prelabel_weights="starter",
        prelabel_reconcile_minutes=1000,
        prelabel_train_every=0,
        workers=2,
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Service]:
    with learning_server(settings) as service:
        yield service


class Project:
    """Scenes as tasks of a connected project, every one with a prediction of the base weights."""

    def __init__(self, client: LabelStudioClient, server: Service, settings: Settings, folder: Path) -> None:
        self.client, self.server, self.settings = client, server, settings
        self.scenes = [generate_scene(FIRST_SCENE + number, SIZE) for number in range(TASKS)]
        photos = [_photo(scene, folder / f"{number}.jpg") for number, scene in enumerate(self.scenes)]
        self.id = client.create_project("Provisional", label_config(LABELS, has_masks=False))["id"]
        self.tasks = client.import_files(self.id, photos)
        self.base = served(server)
        connect_project(client, self.id, server.url, self.base)
        retrieve_predictions(client, self.id, self.tasks)

    def submit(self, number: int) -> None:
        """As the editor does."""
        scene = self.scenes[number]
        regions = [
            _region(f"drawn{index}", box, LABELS[0], scene, "manual") for index, box in enumerate(scene.boxes)
        ]
        body = {"result": regions, "lead_time": 20.0}
        self.client.json("POST", f"/api/tasks/{self.tasks[number]}/annotations/", json=body)

    def labels(self, number: int) -> set[str]:
        """Of what the prediction shows to somebody who opens the task from the Data Manager."""
        task = self.client.task(self.tasks[number])
        regions = [region for prediction in task["predictions"] for region in prediction["result"]]
        return {label for region in regions for label in region["value"]["rectanglelabels"]}

    def versions(self, number: int) -> list[str]:
        return sorted(row["model_version"] for row in self.client.task_predictions(self.tasks[number]))

    def next_in_stream(self) -> dict[str, Any]:
        """What Label All Tasks opens."""
        return self.client.json("GET", f"/api/projects/{self.id}/next")

    def cli(self, *command: str) -> str:
        result = CliRunner().invoke(app, [*command], env=as_environment(self.settings))
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture(scope="module")
def project(
    client: LabelStudioClient,
    server: Service,
    settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    return Project(client, server, settings, tmp_path_factory.mktemp("scenes"))


def _photo(scene: Scene, path: Path) -> Path:
    write_photo(Image.fromarray(scene.image), path)
    return path


def test_the_next_task_shows_the_new_label_before_any_training(project: Project) -> None:
    assert project.labels(1) == set()
    project.submit(0)
    wait_until(lambda: project.labels(1) == {LABELS[0]}, "a region with the new label")
    [version] = project.versions(1)
    assert version.startswith(f"p{project.id}-provisional-")
    assert runs_of(project.server, project.id) == []
    wait_until(lambda: served(project.server, project.id) == version, "the server's turn to it")
    assert {served(project.server, project.id) for _ in range(10)} == {version}
    assert served(project.server) == project.base


def test_tasks_of_the_label_stream_are_asked_for_anew(project: Project) -> None:
    version = served(project.server, project.id)
    [prediction] = project.next_in_stream()["predictions"]
    assert prediction["model_version"] == version


def test_what_lies_further_ahead_keeps_its_prediction(project: Project) -> None:
    assert project.versions(TASKS - 1) == [project.base]


def test_a_worker_that_is_killed_costs_nothing(project: Project) -> None:
    before = served(project.server, project.id)
    os.kill(_worker(project.settings), signal.SIGKILL)
    project.submit(1)
    wait_until(lambda: served(project.server, project.id) != before, "another provisional version")
    wait_until(lambda: project.versions(2) == [served(project.server, project.id)], "its prediction")


def test_commands_tell_of_it(project: Project) -> None:
    name = served(project.server, project.id)
    assert name in project.cli("versions", "list", "--project", str(project.id))
    shown = project.cli("versions", "show", name)
    assert "provisional" in shown and project.base in shown
    assert (
        name
        in CliRunner()
        .invoke(app, ["doctor", "--project", str(project.id)], env=as_environment(project.settings))
        .output
    )


def test_a_click_is_answered_with_the_new_label(project: Project) -> None:
    scene = project.scenes[3]
    x0, y0, x1, y1 = (scene.boxes[0] / ([SIZE[1], SIZE[0]] * 2) * 100).tolist()
    drawn = {
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "id": "drawn",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "value": {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rectanglelabels": [LABELS[1]]},
    }
    backend = project.client.ml_backends(project.id)[0]["id"]
    answer = project.client.json(
        "POST",
        f"/api/ml/{backend}/interactive-annotating",
        json={"task": project.tasks[3], "context": {"result": [drawn]}},
    )
    [region] = answer["data"]["result"]
    assert region["value"]["rectanglelabels"] == [LABELS[1]]
    assert answer["data"]["model_version"] == served(project.server, project.id)


def test_whoever_has_a_task_open_while_its_prediction_is_renewed_can_submit(project: Project) -> None:
    [opened] = project.client.task_predictions(project.tasks[4])
    project.submit(2)
    wait_until(lambda: project.versions(4) != [opened["model_version"]], "another prediction")
    body = {"result": opened["result"], "parent_prediction": opened["id"], "lead_time": 20.0}
    made = project.client.json("POST", f"/api/tasks/{project.tasks[4]}/annotations/", json=body)
    assert made["parent_prediction"] == opened["id"]


def test_without_labels_the_base_weights_answer_again(project: Project) -> None:
    for number in range(TASKS):
        for annotation in project.client.task(project.tasks[number])["annotations"]:
            project.client.delete(f"/api/annotations/{annotation['id']}/")
    # Deleting through the API is told by no webhook; from the Data Manager it is.
    body = {"action": "ANNOTATIONS_DELETED", "annotations": [], "project": {"id": project.id}}
    requests.post(f"{project.server.url}/webhook", json=body, timeout=10)
    wait_until(lambda: served(project.server, project.id) == project.base, "the base weights")


def _worker(settings: Settings) -> int:
    """Its process: the one that holds the lock."""
    lock = (settings.prelabel_home / WORKER_LOCK).resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(one.resolve() == lock for one in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("no worker")
