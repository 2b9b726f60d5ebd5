"""The queue against a real Label Studio: whom it serves what, the tab, and who is not disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from typer.testing import CliRunner
from version_samples import real_checkpoint, store_version

from fbnetv3.scenes import SCENE_LABELS, generate_scene
from prelabel.cli import app
from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import find_tab
from prelabel.publish.promotion import promote
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.queue.listing import Queue, read_queue
from prelabel.queue.refresh import TAB
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database

SCENES = 8
SIZE = (128, 160)
CONFIG = f"""<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image">
    {"".join(f'<Label value="{label}"/>' for label in SCENE_LABELS)}
  </RectangleLabels>
</View>"""


@pytest.fixture
def settings(
    demo: Demo, client: LabelStudioClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Those of commands, too: a prelabel with a store of its own and PyTorch."""
    monkeypatch.setenv("LABEL_STUDIO_URL", client.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", demo.backend.access_token)
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRELABEL_WEIGHTS", "starter")
    monkeypatch.setenv("PRELABEL_ENGINE", "torch")
    return load_settings()


@pytest.fixture
def project(client: LabelStudioClient, tmp_path: Path) -> int:
    """Uploaded scenes, and nothing else."""
    project_id: int = client.create_project("Next", CONFIG)["id"]
    upload(client, project_id, tmp_path, range(SCENES))
    return project_id


@pytest.fixture
def queue(settings: Settings, project: int) -> Callable[..., None]:
    """Runs `prelabel queue refresh`."""

    def refresh(*options: str) -> None:
        result = CliRunner().invoke(app, ["queue", "refresh", "--project", str(project), *options])
        assert result.exit_code == 0, result.output

    return refresh


def upload(client: LabelStudioClient, project: int, folder: Path, seeds: range) -> list[int]:
    """Scenes as files; the ids of their tasks."""
    files = [folder / f"scene{seed}.png" for seed in seeds]
    for seed, file in zip(seeds, files, strict=True):
        Image.fromarray(generate_scene(seed, SIZE).image).save(file)
    return client.import_files(project, files)


def show(client: LabelStudioClient, project: int) -> Queue:
    return read_queue(client, project, 100)


def order(client: LabelStudioClient, project: int) -> list[int]:
    """What `prelabel queue show` lists."""
    return [task.id for task in show(client, project).tasks]


def in_the_tab(client: LabelStudioClient, project: int) -> list[int]:
    """The tasks as the Data Manager's tab lists them."""
    tab = find_tab(client, project, TAB)
    assert tab is not None
    rows = client.json("GET", "/api/tasks", params={"view": tab["id"], "page_size": 100})["tasks"]
    return [row["id"] for row in rows]


def served(client: LabelStudioClient, project: int) -> int:
    """The next task of the label stream."""
    return int(client.json("GET", f"/api/projects/{project}/next/")["id"])


def submit(client: LabelStudioClient, task: int, **annotation: Any) -> None:
    client.request("POST", f"/api/tasks/{task}/annotations/", json={"result": [], **annotation})


@pytest.mark.parametrize("strategy", ["combined", "margin"])
def test_the_label_stream_serves_what_the_queue_shows(client, project, queue, strategy):
    """Groups and drawn tasks are in it, labels submitted move it on, and it ends with the last task."""
    queue("--strategy", strategy, "--random-share", "0.2")
    expected = show(client, project).tasks
    assert len(expected) == SCENES
    assert sum(bool(task.is_drawn) for task in expected) == 2
    if strategy == "combined":
        assert len({task.group for task in expected}) > 1
    for place, task in enumerate(expected):
        assert in_the_tab(client, project) == [one.id for one in expected[place:]]
        assert served(client, project) == task.id
        submit(client, task.id)
    assert order(client, project) == in_the_tab(client, project) == []


def test_tasks_are_served_by_their_looks_before_the_network_knows_a_label(client, project, queue):
    client.update_project(project, label_config=CONFIG.replace('Label value="', 'Label value="my '))
    queue("--strategy", "representative")
    expected = order(client, project)
    assert expected == in_the_tab(client, project) and len(expected) == SCENES
    assert [client.task_predictions(task)[0]["result"] for task in expected] == [[]] * SCENES
    for task in expected[:3]:
        assert served(client, project) == task
        submit(client, task)


def test_labelling_as_displayed_follows_the_tab(client, project, queue):
    queue("--strategy", "margin")
    first, second, *_ = order(client, project)
    tab = find_tab(client, project, TAB)["data"]
    as_displayed = {"ordering": tab["ordering"], "filters": tab["filters"], "project": str(project)}
    action = {"params": {"id": "next_task", "project": project}, "json": as_displayed}
    assert client.json("POST", "/api/dm/actions", **action)["id"] == first
    submit(client, first)
    assert client.json("POST", "/api/dm/actions", **action)["id"] == second


def test_another_strategy_changes_the_order_and_nobodys_work(client, project, queue):
    queue("--strategy", "margin", "--random-share", "0")
    before = order(client, project)
    opened = served(client, project)
    (prediction,) = client.task_predictions(opened)
    drafted = before[-1]
    client.request("POST", f"/api/tasks/{drafted}/drafts", params={"project": project}, json={"result": []})

    queue("--strategy", "diversity", "--random-share", "0")
    after = order(client, project)
    assert after != before and sorted(after) == sorted(before)
    assert after == in_the_tab(client, project)
    assert [view["data"]["title"] for view in client.views(project)] == ["Default", TAB]
    assert [len(client.task_predictions(task)) for task in after] == [1] * SCENES
    submit(client, opened, parent_prediction=prediction["id"])
    assert client.task(opened)["annotations"][0]["parent_prediction"] == prediction["id"]
    assert client.task(drafted)["draft_exists"]


@pytest.fixture
def colleague(client: LabelStudioClient) -> Iterator[requests.Session]:
    """Another annotator of the organisation, signed in."""
    page = f"{client.url}/user/signup/?token={client.json('GET', '/api/invite')['token']}"
    with requests.Session() as session:
        session.get(page, timeout=30)
        form = {"email": "ann@example.com", "password": "prelabel-ann", "allow_newsletters": "false"}
        token = {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
        session.post(page, form | token, headers={"Referer": page}, timeout=30).raise_for_status()
        session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
        yield session


def test_two_annotators_share_one_order(client, project, queue, colleague):
    queue()
    expected = order(client, project)
    for mine, theirs in zip(expected[::2], expected[1::2], strict=True):
        assert served(client, project) == mine
        answer = colleague.get(f"{client.url}/api/projects/{project}/next/", timeout=30)
        assert answer.json()["id"] == theirs
        submit(client, mine)
        address = f"{client.url}/api/tasks/{theirs}/annotations/"
        colleague.post(address, json={"result": []}, timeout=30).raise_for_status()


def test_a_promotion_puts_the_tasks_in_order_and_new_ones_get_into_it(
    client, settings, project, queue, tmp_path
):
    queue("--strategy", "random")
    database = Database.open(settings.database_url)
    version = store_version(settings, database, 1, real_checkpoint(SCENE_LABELS), project_id=project)
    promote(settings, database, client, version)
    refresh_predictions(settings, database, client, project)
    shown = show(client, project)
    assert (shown.version, shown.shown, shown.strategy) == (
        version.name,
        version.name,
        settings.prelabel_strategy,
    )
    assert shown.follows and len(shown.tasks) == SCENES
    assert served(client, project) == shown.tasks[0].id

    (new,) = upload(client, project, tmp_path, range(SCENES, SCENES + 1))
    assert order(client, project)[-1] == new  # it has no prediction yet
    queue()
    with_new = show(client, project).tasks
    assert {task.is_drawn for task in with_new} == {True, False}
    assert new in [task.id for task in with_new] and len(with_new) == SCENES + 1
    database.close()
