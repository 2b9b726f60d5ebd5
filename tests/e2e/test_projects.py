"""connect, annotate and doctor against a real Label Studio: what only the real one can show."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_calls import import_tasks
from serving import CONFIG, ColourDetector, image_server
from sqlalchemy import select
from weights_samples import small_checkpoint
from werkzeug.serving import make_server

from fbnetv3.detector import ImageFeatures, Threshold
from fbnetv3.instances import Instances
from fbnetv3.weights import write_checkpoint
from prelabel.connect.connect import ConnectError, connect_project
from prelabel.connect.doctor import Examination, Status, examine
from prelabel.connect.running_server import find_server, served_version
from prelabel.demo import label_studio as demo_label_studio
from prelabel.demo.label_studio import LabelStudio
from prelabel.demo.run import Demo
from prelabel.demo.service import free_port
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.webhooks import project_webhooks
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import annotate_project
from prelabel.publish.shown_version import notes_after
from prelabel.publish.survey import survey
from prelabel.server.app import create_app
from prelabel.server.model_holder import ModelHolder
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.events import WebhookEvent
from prelabel.versions.own_versions import OwnVersions

CHECKPOINT = small_checkpoint(ColourDetector.labels, masks=True)
VERSION = f"tiny-{CHECKPOINT.digest}"
STALE = f"starter-{'b' * 12}"
FOREIGN = "somebody-elses-v2"
AUTH = ("ann", "secret")
TEMPLATES = Path(__file__).parents[2] / ".build" / "templates"
GUARD_PORT = 28156


class SurerOfRed(ColourDetector):
    """Is the surer the redder an image is."""

    version = VERSION

    def find(self, features: Sequence[ImageFeatures], *thresholds: Threshold) -> list[Instances]:
        found = super().find(features, *thresholds)
        for instances, one in zip(found, features, strict=True):
            instances.scores[:] = 0.5 + one.pixels[0, 0, 0] / 255
        return found


@pytest.fixture
def access_token(demo: Demo) -> str:
    """What the demo's user signs in with."""
    return demo.backend.access_token


@pytest.fixture(scope="module")
def images() -> Iterator[str]:
    """The address of a web server with images."""
    with image_server() as host:
        yield f"http://{host}"


@pytest.fixture(scope="module")
def predictor(client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    limits = fetch_limits(allow_private=True, total_timeout=5)
    return Predictor(
        SurerOfRed(), ImageFetcher(client, limits, tmp_path_factory.mktemp("cache")), predictor_options()
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('store')}/prelabel.sqlite3")
    yield database
    database.close()


@pytest.fixture(scope="module")
def server_url(predictor: Predictor, database: Database) -> Iterator[str]:
    """A prelabel server with a password and a quick detector."""
    settings = load_settings(basic_auth_user=AUTH[0], basic_auth_pass=AUTH[1])
    server = make_server("127.0.0.1", 0, create_app(settings, ModelHolder(lambda: predictor), database), True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(client: LabelStudioClient, images: str) -> int:
    """A new project with six tasks, the later the redder."""
    project_id = client.create_project("Discs", CONFIG, sampling="Uncertainty sampling")["id"]
    import_tasks(
        client, project_id, [{"data": {"image": f"{images}/img{n}.png"}} for n in (3, 1, 0, 5, 2, 4)]
    )
    return project_id


@pytest.fixture
def connected(client: LabelStudioClient, project: int, server_url: str) -> int:
    """The project, connected."""
    connect_project(client, project, server_url, VERSION, basic_auth=AUTH)
    return project


def annotate(client: LabelStudioClient, predictor: Predictor, project: int, **options: Any) -> Any:
    return annotate_project(
        client,
        predictor,
        read_project(client, project),
        OwnVersions(frozenset({"tiny", "starter"})),
        **options,
    )


def versions(client: LabelStudioClient, project: int) -> list[list[str]]:
    """The versions of every task's predictions."""
    return [sorted(task.versions) for task in survey(client, project)]


def test_the_server_is_asked_for_its_version(server_url):
    assert served_version(find_server([server_url]), AUTH, patience=10) == VERSION


def test_connecting_twice_is_connecting_once(client, connected, server_url):
    (backend,) = attached_backends(client, connected)
    assert (backend.title, backend.served_version, backend.is_connected) == (VERSION, VERSION, True)
    assert client.project(connected)["model_version"] == VERSION
    again = connect_project(client, connected, f"{server_url}/", VERSION, basic_auth=AUTH)
    assert (again.backend_id, again.changes, again.notes) == (backend.id, (), ())


def test_a_server_that_moved_is_followed(client, connected, server_url):
    elsewhere = server_url.replace("127.0.0.1", "localhost")
    changes = connect_project(client, connected, elsewhere, VERSION, basic_auth=AUTH).changes
    assert changes[0] == f"moved the ML backend from {server_url} to {elsewhere}"
    assert [backend.url for backend in attached_backends(client, connected)] == [elsewhere]
    assert [hook.url for hook in project_webhooks(client, connected)] == [f"{elsewhere}/webhook"]


def test_events_pass_the_password(client, connected, database):
    """Label Studio adds no password of its own to webhooks."""
    task = next(survey(client, connected))
    client.request("POST", f"/api/tasks/{task.id}/annotations/", json={"result": []})
    with database.session() as session:
        actions = set(
            session.scalars(select(WebhookEvent.action).where(WebhookEvent.project_id == connected))
        )
    assert "ANNOTATION_CREATED" in actions


def test_scores_show_and_the_least_certain_task_comes_first(client, predictor, connected):
    annotate(client, predictor, connected)
    listed = client.json(
        "GET", "/api/tasks", params={"project": connected, "fields": "all", "page_size": 100}
    )["tasks"]
    scores = {task["data"]["image"].rpartition("/")[2]: task["predictions_score"] for task in listed}
    assert sorted(scores, key=lambda name: scores[name] or 0) == [f"img{n}.png" for n in range(6)]
    assert None not in scores.values()
    following = client.json("GET", f"/api/projects/{connected}/next/")
    assert following["data"]["image"].endswith("img0.png")


def test_without_a_server_scores_show_too(client, predictor, project):
    annotate(client, predictor, project)
    assert notes_after(client, project, VERSION, OwnVersions(frozenset({"tiny"}))) == [None]
    assert client.project(project)["model_version"] == VERSION


def test_only_stale_predictions_of_its_own_are_replaced(client, predictor, project):
    tasks = [task.id for task in survey(client, project)]
    client.import_predictions(
        project,
        [
            {"task": task, "result": [], "score": 0.5, "model_version": version}
            for task in tasks[:3]
            for version in (STALE, FOREIGN)
        ],
    )
    summary = annotate(client, predictor, project, stale_only=True, batch_size=2)
    assert (summary.pushed, summary.removed, summary.unasked) == (3, 3, 3)
    assert versions(client, project) == [[FOREIGN, VERSION]] * 3 + [[]] * 3
    assert annotate(client, predictor, project, batch_size=2).pushed == 3
    assert annotate(client, predictor, project).total == 0


def test_what_people_work_on_keeps_its_predictions(client, predictor, project):
    """Label Studio answers 400 to an annotation whose parent prediction was deleted meanwhile."""
    drafted, accepted, free = [task.id for task in survey(client, project)][:3]
    rows = [
        {"task": task, "result": [], "score": 0.5, "model_version": STALE}
        for task in (drafted, accepted, free)
    ]
    client.import_predictions(project, rows)
    of_task = {row["task"]: row["id"] for row in client.predictions(project)}
    client.request("POST", f"/api/tasks/{drafted}/drafts", params={"project": project}, json={"result": []})
    parent = {"result": [], "parent_prediction": of_task[accepted]}
    client.request("POST", f"/api/tasks/{accepted}/annotations/", json=parent)

    annotate(client, predictor, project, include_labelled=True)
    assert versions(client, project)[:3] == [sorted([STALE, VERSION]), sorted([STALE, VERSION]), [VERSION]]
    assert client.task(accepted)["annotations"][0]["parent_prediction"] == of_task[accepted]
    submitted = {"result": [], "parent_prediction": of_task[drafted]}
    client.request("POST", f"/api/tasks/{drafted}/annotations/", json=submitted)


def test_a_task_that_is_deleted_meanwhile_costs_the_others_nothing(client, predictor, project):
    tasks = [task.id for task in survey(client, project)]

    def delete_one(summary: Any) -> None:
        if summary.done == 0:
            client.request("DELETE", f"/api/tasks/{tasks[1]}/")

    summary = annotate(client, predictor, project, on_progress=delete_one)
    assert [problem.task_id for problem in summary.problems] == [tasks[1]]
    assert versions(client, project) == [[VERSION]] * 5


def test_the_doctor_finds_a_connected_project_sound(
    client, predictor, connected, server_url, tmp_path, access_token
):
    write_checkpoint(CHECKPOINT, tmp_path / "tiny.safetensors")
    annotate(client, predictor, connected)
    settings = load_settings(
        label_studio_url=client.url,
        label_studio_api_key=access_token,
        basic_auth_user=AUTH[0],
        basic_auth_pass=AUTH[1],
        prelabel_home=tmp_path,
        prelabel_weights=str(tmp_path / "tiny.safetensors"),
        prelabel_allow_private_addresses=True,
        port=server_url.rpartition(":")[2],
    )
    findings = list(examine(Examination(settings, connected)))
    assert {finding.status for finding in findings} == {Status.OK}, findings


@pytest.mark.parametrize("half_open", [False, True], ids=["closed", "half open"])
def test_a_guard_that_refuses_is_named_and_leaves_nothing_half_made(
    label_studio_program: Path,
    tmp_path: Path,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
    half_open: bool,
):
    """Half open, Label Studio saves the backend, answers 403 and makes no webhook."""
    environment = dict(demo_label_studio.ENVIRONMENT)
    del environment["USE_DEFAULT_BANNED_SUBNETS"]
    environment |= {"ML_BLOCK_LOCAL_IP": "false"} if half_open else {}
    monkeypatch.setattr(demo_label_studio, "ENVIRONMENT", environment)
    strict = LabelStudio(
        label_studio_program, tmp_path / "data", port=free_port(GUARD_PORT), templates=TEMPLATES
    )
    with strict:
        strict.start()
        strict.wait_until_ready()
        client = LabelStudioClient(strict.url, strict.access_token())
        project = client.create_project("Guarded", CONFIG)["id"]
        with pytest.raises(ConnectError, match=r"127\.0\.0\.0/8.*USE_DEFAULT_BANNED_SUBNETS=false"):
            connect_project(client, project, server_url, VERSION, basic_auth=AUTH)
        assert attached_backends(client, project) == []
        assert project_webhooks(client, project) == []
