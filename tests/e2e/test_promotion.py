"""Promotion against a real Label Studio: title, shown version, predictions, and what people work on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from label_studio_calls import import_tasks, retrieve_predictions
from serving import CONFIG, image_server
from version_samples import real_checkpoint, store_version
from werkzeug.serving import make_server

from prelabel.connect.connect import connect_project
from prelabel.connect.doctor import Examination, Status, examine
from prelabel.demo.run import Demo
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.labels.usefulness import effort_of, usefulness
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.publish.annotate import annotate_project
from prelabel.publish.promotion import promote, roll_back
from prelabel.publish.survey import survey
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.server.app import create_app
from prelabel.server.model_holder import ModelHolder
from prelabel.server.process import _load, _load_version
from prelabel.server.project_models import ProjectModels
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import newest_promotion, serving_names
from prelabel.versions.loading import build_predictor, load_detector
from prelabel.versions.own_versions import OwnVersions

FOREIGN = "somebody-elses-v2"
AUTH = ("ann", "secret")


@pytest.fixture(scope="module")
def settings(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a prelabel with a password, a store of its own and PyTorch."""
    return load_settings(
        label_studio_url=client.url,
        label_studio_api_key=demo.backend.access_token,
        basic_auth_user=AUTH[0],
        basic_auth_pass=AUTH[1],
        prelabel_home=tmp_path_factory.mktemp("home"),
        prelabel_engine="torch",
        prelabel_weights="starter",
        prelabel_allow_private_addresses=True,
    )


@pytest.fixture(scope="module")
def database(settings: Settings) -> Iterator[Database]:
    database = Database.open(settings.database_url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def server_url(settings: Settings, database: Database) -> Iterator[str]:
    """The server with real weights, following the store."""
    features = PromptFeatures(0)
    load_version = partial(_load_version, settings, features, database)
    projects = ProjectModels(partial(serving_names, database), load_version, 4)
    model = ModelHolder(partial(_load, settings, features), projects)
    model.predictor(120)
    server = make_server("127.0.0.1", 0, create_app(settings, model, database), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(
    client: LabelStudioClient, settings: Settings, database: Database, server_url: str
) -> Iterator[int]:
    """Six tasks, connected, with predictions of the base weights."""
    with image_server() as host:
        config = CONFIG.replace("Disc", "apple").replace("Box", "banana")
        project_id = client.create_project("Promoted", config)["id"]
        images = [f"http://{host}/img{number}.png" for number in range(6)]
        import_tasks(client, project_id, [{"data": {"image": image}} for image in images])
        predictor = build_predictor(settings, load_detector(settings))
        connect_project(client, project_id, server_url, predictor.version, basic_auth=AUTH)
        own = OwnVersions.of_project(settings, database, project_id, [])
        annotate_project(client, predictor, read_project(client, project_id), own)
        yield project_id


def versions(client: LabelStudioClient, project: int) -> list[list[str]]:
    """The versions of every task's predictions."""
    return [sorted(task.versions) for task in survey(client, project)]


def test_a_promotion_reaches_every_corner_and_hurts_nobody(
    client: LabelStudioClient, settings: Settings, database: Database, project: int
) -> None:
    (base,) = {version for task in versions(client, project) for version in task}
    accepted, shared, *free = [task.id for task in survey(client, project)]
    of_task = {row["task"]: row["id"] for row in client.predictions(project)}
    body = {"result": [], "parent_prediction": of_task[accepted]}
    client.request("POST", f"/api/tasks/{accepted}/annotations/", json=body)
    foreign = {"task": shared, "result": [], "score": 0.5, "model_version": FOREIGN}
    client.import_predictions(project, [foreign])

    checkpoint = real_checkpoint(("apple", "banana", "mug"))
    version = store_version(settings, database, project, checkpoint, project_id=project)
    promote(settings, database, client, version)
    (backend,) = attached_backends(client, project)
    assert (backend.title, backend.versions) == (version.name, (base, version.name))
    assert client.project(project)["model_version"] == version.name
    assert newest_promotion(database, project).is_published

    summary = refresh_predictions(settings, database, client, project, batch_size=2)
    assert (summary.pushed, summary.removed, summary.failed) == (5, 5, 0)
    assert versions(client, project) == [[base], sorted([FOREIGN, version.name])] + [[version.name]] * len(
        free
    )
    assert client.task(accepted)["annotations"][0]["parent_prediction"] == of_task[accepted]

    (backend,) = attached_backends(client, project)
    assert (backend.served_version, backend.is_connected) == (version.name, True)
    retrieve_predictions(client, project, free)
    assert versions(client, project)[2:] == [[version.name]] * len(free)
    findings = {finding.link: finding for finding in examine(Examination(settings, project, backend.url))}
    for link in ("weights", "same weights", "ML backend", "webhook", "shown version"):
        assert findings[link].status is Status.OK, findings[link]
    assert usefulness(client, project, effort_of(settings)).versions[base].annotations == 1

    roll_back(settings, database, client, project, None, "the test is over")
    assert client.project(project)["model_version"] == base
    refresh_predictions(settings, database, client, project)
    assert versions(client, project)[2:] == [[base]] * len(free)

    assert newest_promotion(database, project).is_refreshed
    image = client.task(shared)["data"]["image"].replace("img1", "img7")
    import_tasks(client, project, [{"data": {"image": image}}])
    assert not newest_promotion(database, project).is_refreshed, "no webhook told of the new task"
    refresh_predictions(settings, database, client, project)
    assert versions(client, project)[2:] == [[base]] * (len(free) + 1)
    assert newest_promotion(database, project).is_refreshed


def test_a_promotion_without_a_connection_shows_once_predictions_are_there(
    client: LabelStudioClient, settings: Settings, database: Database, tmp_path: Path
) -> None:
    with image_server() as host:
        project = client.create_project("Unconnected", CONFIG.replace("Disc", "apple"))["id"]
        import_tasks(client, project, [{"data": {"image": f"http://{host}/img1.png"}}])
        checkpoint = real_checkpoint(("apple", "banana", "mug"))
        version = store_version(settings, database, project, checkpoint, project_id=project)
        promote(settings, database, client, version)
        assert attached_backends(client, project) == []
        refresh_predictions(settings, database, client, project)
    assert versions(client, project) == [[version.name]]
    assert client.project(project)["model_version"] == version.name
