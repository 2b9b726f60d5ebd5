"""Images that cannot be had, against a real Label Studio: it stores nothing for their tasks and asks for them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from label_studio_calls import retrieve_predictions
from PIL import Image
from typer.testing import CliRunner

from fbnetv3.scenes import SCENE_LABELS, generate_scene
from prelabel.cli import app
from prelabel.connect.connect import connect_project
from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient

SCENES = 3
SIZE = (240, 320)
CONFIG = f"""<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">
    {"".join(f'<Label value="{label}"/>' for label in SCENE_LABELS)}
  </RectangleLabels>
</View>"""


@pytest.fixture
def project(demo: Demo, client: LabelStudioClient) -> int:
    """A connected project without tasks."""
    project_id: int = client.create_project("Missing images", CONFIG)["id"]
    connect_project(client, project_id, demo.prelabel.url, demo.detector.version)
    return project_id


@pytest.fixture
def tasks(client: LabelStudioClient, project: int, tmp_path: Path) -> list[int]:
    """Tasks with uploaded scenes."""
    files = [tmp_path / f"scene{seed}.png" for seed in range(SCENES)]
    for seed, file in enumerate(files):
        Image.fromarray(generate_scene(seed, SIZE).image).save(file)
    return client.import_files(project, files)


@pytest.fixture
def stored_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the demo's Label Studio keeps everything."""
    return tmp_path_factory.getbasetemp()


@contextmanager
def away(client: LabelStudioClient, project: int, folder: Path, *tasks: int) -> Iterator[None]:
    """The uploaded files of these tasks cannot be had meanwhile."""
    addresses = {task["id"]: task["data"]["image"] for task in client.tasks(project)}
    names = [addresses[task].rpartition("/")[2] for task in tasks]
    files = [next(folder.rglob(name)) for name in names]
    for file in files:
        file.rename(file.with_suffix(".away"))
    yield
    for file in files:
        file.with_suffix(".away").rename(file)


@pytest.fixture
def annotate(
    demo: Demo, client: LabelStudioClient, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Runs `prelabel annotate`; what it printed."""
    monkeypatch.setenv("LABEL_STUDIO_URL", client.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", demo.backend.access_token)
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRELABEL_WEIGHTS", "starter")
    monkeypatch.setenv("PRELABEL_ENGINE", "torch")

    def run(*options: str) -> str:
        result = CliRunner().invoke(app, ["annotate", "--project", str(project), *options])
        assert result.exit_code == 0, result.output
        return result.output

    return run


def predicted(client: LabelStudioClient, project: int) -> set[int]:
    rows = client.predictions(project)
    assert all(row["result"] for row in rows)
    return {row["task"] for row in rows}


def next_task(client: LabelStudioClient, project: int) -> dict[str, Any]:
    """What the label stream serves."""
    return client.json("GET", f"/api/projects/{project}/next", timeout=100)


def test_the_task_of_a_missing_image_is_asked_for_again(
    client: LabelStudioClient, project: int, tasks: list[int], stored_files: Path
) -> None:
    first, missing, last = tasks
    with away(client, project, stored_files, missing):
        retrieve_predictions(client, project, tasks)
        assert predicted(client, project) == {first, last}
        assert client.task(missing)["predictions"] == []
    assert client.task(missing)["predictions"][0]["result"]
    assert predicted(client, project) == set(tasks)


def test_without_one_image_nothing_is_stored_and_the_label_stream_goes_on(
    client: LabelStudioClient, project: int, tasks: list[int], stored_files: Path
) -> None:
    with away(client, project, stored_files, *tasks):
        retrieve_predictions(client, project, tasks)
        assert client.task(tasks[0])["predictions"] == []
        assert next_task(client, project)["predictions"] == []
        assert predicted(client, project) == set()
    served = next_task(client, project)
    assert served["predictions"][0]["result"]
    retrieve_predictions(client, project, tasks)
    assert predicted(client, project) == set(tasks)


def test_annotate_asks_again_for_failed_predictions_and_for_no_other_empty_one(
    demo: Demo,
    client: LabelStudioClient,
    project: int,
    tasks: list[int],
    annotate: Callable[..., str],
) -> None:
    failed, placed, looked_at = tasks
    empty = {"result": [], "model_version": demo.detector.version}
    scores = {failed: 0.0, placed: 0.0, looked_at: 0.7}
    client.import_predictions(project, [empty | {"task": task, "score": s} for task, s in scores.items()])
    before = {row["task"]: row["id"] for row in client.predictions(project)}
    client.update_prediction(before[placed], cluster=1_000_002)
    printed = annotate("--stale-only")
    assert "Tasks with a new prediction: 1" in printed
    assert "Tasks that had one of this version: 2" in printed
    after = {row["task"]: row for row in client.predictions(project)}
    assert len(client.predictions(project)) == len(after) == SCENES
    assert after[failed]["result"]
    assert [after[task]["id"] for task in (placed, looked_at)] == [before[placed], before[looked_at]]
    assert "Tasks with a new prediction: 0" in annotate()
