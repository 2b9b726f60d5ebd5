"""Which version answers for a project: before, during and after a promotion, and where a version cannot be loaded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from serving import CONFIG, image_number, predict_request
from version_samples import real_checkpoint, store_version

from fbnetv3.weights import WeightsError
from prelabel.inference.predictor import Predictor
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.server import project_models
from prelabel.server.app import create_app
from prelabel.server.errors import ModelNotReady
from prelabel.server.model_holder import ModelHolder
from prelabel.server.process import _load_version
from prelabel.server.project_models import ProjectModels
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion, serving_names

PROJECT, OTHER = 7, 8
PATIENCE = 10.0


class Workshop:
    """Loads predictors that are quick, when they may be: `gates` hold versions back, `broken` ones fail."""

    def __init__(self, base: Callable[[], Predictor]) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.broken: dict[str, Exception] = {}
        self.loads: list[str] = []
        self._base = base

    def load(self, name: str) -> Predictor:
        self.loads.append(name)
        if gate := self.gates.get(name):
            assert gate.wait(PATIENCE)
        if error := self.broken.get(name):
            raise error
        predictor = self._base()
        predictor.detector.version = name
        return predictor


@pytest.fixture
def workshop(load: Callable[[], Predictor]) -> Iterator[Workshop]:
    workshop = Workshop(load)
    yield workshop
    for gate in workshop.gates.values():
        gate.set()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is asked at every request."""
    monkeypatch.setattr(project_models, "CHECK_SECONDS", 0)


class Projects:
    """A holder whose store is a dictionary."""

    def __init__(self, workshop: Workshop, capacity: int = 4, **serving: str) -> None:
        self.serving = {int(project[1:]): name for project, name in serving.items()}
        self.models = ProjectModels(lambda: dict(self.serving), workshop.load, capacity)
        self.holder = ModelHolder(workshop._base, self.models)

    def version(self, project: int | None = PROJECT, patience: float = PATIENCE) -> str:
        return self.holder.predictor(patience, project).version

    def becomes(self, name: str, project: int = PROJECT) -> bool:
        """Whether the project is answered by this version soon."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.version(project) == name:
                return True
            time.sleep(0.005)
        return False


def test_the_base_answers_where_a_project_has_no_version(workshop):
    projects = Projects(workshop, p8="p8-v1")
    assert projects.version(PROJECT) == "colour-1"
    assert projects.version(None) == "colour-1"
    assert projects.version(OTHER) == "p8-v1"


@pytest.mark.parametrize("before", ["colour-1", "p7-v1"])
def test_a_promotion_costs_no_request_anything(workshop, before):
    projects = Projects(workshop, **({} if before == "colour-1" else {"p7": before}))
    assert projects.version() == before
    workshop.gates["p7-v2"] = threading.Event()
    projects.serving[PROJECT] = "p7-v2"
    assert [projects.version(patience=0) for _ in range(3)] == [before] * 3
    workshop.gates["p7-v2"].set()
    assert projects.becomes("p7-v2")
    assert workshop.loads.count("p7-v2") == 1


def test_a_version_that_served_at_the_start_is_waited_for_and_not_replaced_by_the_base(workshop):
    workshop.gates["p7-v1"] = threading.Event()
    projects = Projects(workshop, p7="p7-v1")
    with pytest.raises(ModelNotReady, match="p7-v1 is still loading"):
        projects.version(patience=0.01)
    workshop.gates["p7-v1"].set()
    assert projects.version() == "p7-v1"


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_it(workshop, caplog, monkeypatch):
    projects = Projects(workshop, p7="p7-v1")
    assert projects.version() == "p7-v1"
    workshop.broken["p7-v2"] = WeightsError("the weights of p7-v2 cannot be read")
    projects.serving[PROJECT] = "p7-v2"
    with caplog.at_level(logging.ERROR, logger="prelabel"):
        for _ in range(20):
            assert projects.version() == "p7-v1"
            time.sleep(0.005)
    assert workshop.loads.count("p7-v2") == 1
    assert (
        "p7-v2 cannot be loaded and does not serve; what served before it goes on: the weights" in caplog.text
    )
    assert "Traceback" not in caplog.text
    workshop.broken.clear()
    monkeypatch.setattr(project_models, "RETRY_SECONDS", 0)
    assert projects.becomes("p7-v2")


def test_the_base_answers_where_nothing_of_the_project_can_be_loaded(workshop):
    workshop.broken["p7-v1"] = RuntimeError("out of memory")
    projects = Projects(workshop, p7="p7-v1")
    assert projects.version() == "colour-1"


def test_going_back_to_the_base_needs_no_load(workshop):
    projects = Projects(workshop, p7="p7-v1")
    assert projects.version() == "p7-v1"
    del projects.serving[PROJECT]
    assert projects.version() == "colour-1"


def test_going_back_before_a_version_is_loaded_leaves_nothing_of_it(workshop):
    projects = Projects(workshop, p7="p7-v1")
    assert projects.version() == "p7-v1"
    workshop.gates["p7-v2"] = threading.Event()
    projects.serving[PROJECT] = "p7-v2"
    assert projects.version() == "p7-v1"
    projects.serving[PROJECT] = "p7-v1"
    assert projects.version() == "p7-v1"
    workshop.gates["p7-v2"].set()
    time.sleep(0.05)
    assert projects.version() == "p7-v1"
    assert list(projects.models._loaded) == ["p7-v1"]


def test_where_a_version_that_served_is_missing_the_log_says_that_the_base_weights_answer(workshop, caplog):
    workshop.broken["p7-v1"] = WeightsError("the weights of p7-v1 cannot be read: put the file back")
    with caplog.at_level(logging.ERROR, logger="prelabel"):
        projects = Projects(workshop, p7="p7-v1")
        assert projects.becomes("colour-1")
        projects.models._executor.shutdown()
    [said] = caplog.messages
    assert said == (
        "version p7-v1 cannot be loaded and does not serve; the base weights answer for project 7 in its place: "
        "the weights of p7-v1 cannot be read: put the file back"
    )


def test_the_least_recently_used_version_makes_room(workshop):
    projects = Projects(workshop, capacity=2, p1="p1-v1", p2="p2-v1", p3="p3-v1")
    for project in (1, 2, 1, 3, 1, 2):
        assert projects.version(project) == f"p{project}-v1"
        assert len(projects.models._loaded) <= 2
    assert workshop.loads.count("p1-v1") == 1
    assert workshop.loads.count("p2-v1") == 2


def test_a_store_that_does_not_answer_changes_nothing(workshop, database, caplog):
    projects = Projects(workshop, p7="p7-v1")
    assert projects.version() == "p7-v1"
    broken = Database.open(str(database.engine.url))
    with broken.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE promotions")
    projects.models._serving = partial(serving_names, broken)
    assert [projects.version() for _ in range(3)] == ["p7-v1"] * 3
    [said] = [line for line in caplog.messages if "the store does not say which versions serve" in line]
    assert "no such table: promotions" in said
    broken.close()


def test_every_server_process_follows_the_store_unasked(
    workshop, database, tmp_path, bare_environment, monkeypatch
):
    monkeypatch.setattr(project_models, "CHECK_SECONDS", 0.02)
    settings = load_settings(prelabel_home=tmp_path)
    first = store_version(settings, database, 1)
    add_promotion(database, PROJECT, first, "better")
    processes = [ProjectModels(partial(serving_names, database), workshop.load, 4) for _ in range(2)]
    for models in processes:
        models.follow()
    add_promotion(database, PROJECT, store_version(settings, database, 2), "better still")
    deadline = time.monotonic() + PATIENCE
    while any(list(models._loaded) != ["p7-v2"] for models in processes) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [models.predictor(PROJECT, 0).version for models in processes] == ["p7-v2"] * 2


def test_threads_that_ask_during_promotions_get_versions_in_order(workshop):
    projects = Projects(workshop, p7="p7-v1")
    seen: list[list[int]] = [[] for _ in range(4)]
    end = threading.Event()

    def ask(answers: list[int]) -> None:
        while not end.is_set():
            answers.append(int(projects.version(patience=0.5).rpartition("v")[2]))

    assert projects.version() == "p7-v1"
    threads = [threading.Thread(target=ask, args=(answers,)) for answers in seen]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        projects.serving[PROJECT] = f"p7-v{number}"
        assert projects.becomes(f"p7-v{number}")
    end.set()
    for thread in threads:
        thread.join()
    assert all(answers == sorted(answers) and answers for answers in seen)


@pytest.fixture
def ask(workshop, database, tmp_path) -> Callable[[str, Any], Any]:
    """Asks an app whose project 7 is served by p7-v1."""
    models = ProjectModels(lambda: {PROJECT: "p7-v1"}, workshop.load, 4)
    holder = ModelHolder(workshop._base, models)
    client = create_app(load_settings(prelabel_home=tmp_path), holder, database).test_client()
    return lambda route, body=None: (
        (client.get(route) if body is None else client.post(route, json=body)).json
    )


def test_setup_and_predict_name_the_same_version_for_each_project(ask, host):
    for project, version in ((PROJECT, "p7-v1"), (OTHER, "colour-1")):
        body = predict_request(host, "img4", "img5") | {"project": f"{project}.1795218738"}
        assert ask("/setup", {"project": body["project"], "schema": CONFIG}) == {"model_version": version}
        results = ask("/predict", body)["results"]
        assert [image_number(result) for result in results] == [4, 5]
        assert {result["model_version"] for result in results} == {version}
        interactive = body | {"params": {"context": {"result": []}}}
        assert ask("/predict", interactive)["results"][0]["model_version"] == version


def test_versions_and_health_name_the_base_unless_a_project_is_given(ask):
    assert ask("/versions") == {"versions": ["colour-1"]}
    assert ask("/versions?project=7") == {"versions": ["p7-v1"]}
    assert ask("/versions?project=x") == {"versions": ["colour-1"]}
    assert ask("/health")["model_version"] == "colour-1"


def test_the_versions_of_a_project_are_told(ask, database, tmp_path):
    settings = load_settings(prelabel_home=tmp_path)
    add_promotion(database, PROJECT, store_version(settings, database, 1), "better")
    store_version(settings, database, 2, promoted=False, reason="AP50 fell")
    told = ask(f"/api/projects/{PROJECT}/versions")
    assert [(one["name"], one["state"], one["run"]) for one in told] == [
        ("p7-v1", "serving", 1),
        ("p7-v2", "rejected", 2),
    ]
    assert told[1]["reason"] == "AP50 fell"
    assert (told[0]["judgement"]["box_AP50"], "outcomes" in told[0]["judgement"]) == (0.8125, False)
    assert ask(f"/api/projects/{OTHER}/versions") == []


def test_a_stored_version_is_loaded_and_finds_its_labels(database, tmp_path, bare_environment):
    settings = load_settings(prelabel_home=tmp_path, prelabel_engine="torch")
    add_promotion(database, PROJECT, store_version(settings, database, 1, real_checkpoint()), "better")
    models = ProjectModels(
        partial(serving_names, database), partial(_load_version, settings, PromptFeatures(0), database), 4
    )
    predictor = models.predictor(PROJECT, 60)
    assert predictor.version == "p7-v1"
    assert len(predictor.capabilities.fillable(predictor.label_spec(CONFIG))) == 2
