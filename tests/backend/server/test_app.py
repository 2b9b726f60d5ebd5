"""The server as such: health, a model that loads or fails, wrong requests, passwords, metrics."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from serving import Serving, captured, health, metric, predict_request

from fbnetv3.weights import WeightsError
from prelabel.inference.predictor import Predictor
from prelabel.server import webhooks
from prelabel.server.model_holder import ModelState

USER = {"Authorization": "Basic " + b64encode(b"ann:s\xc3\xa9same").decode()}


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_says_up_and_which_model(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json | {"version": "x"} == {
        "status": "UP",
        "model_class": "prelabel",
        "version": "x",
        "state": "ready",
        "model_version": "colour-1",
    }


def test_ready_only_with_a_model(
    serve: Callable[..., Serving], load: Callable[[], Predictor], slow: threading.Event
) -> None:
    serving = serve(lambda: (slow.wait(), load())[1])
    assert health(serving.client)["state"] == "loading"
    assert serving.client.get("/health").status_code == 200
    assert serving.client.get("/ready").status_code == 503
    assert metric(serving.client, "prelabel_model_ready") == 0
    slow.set()
    serving.model.predictor(10)
    assert serving.client.get("/ready").status_code == 200
    assert serving.client.get("/ready").json == {"state": "ready"}
    assert metric(serving.client, "prelabel_model_ready") == 1


@pytest.mark.parametrize("route", ["/setup", "/predict", "/versions"])
def test_a_loading_model_is_said_in_the_status_line(
    serve: Callable[..., Serving], load: Callable[[], Predictor], slow: threading.Event, route: str, host: str
) -> None:
    """Label Studio shows the reason phrase and nothing else of a failed call."""
    client = serve(lambda: (slow.wait(), load())[1]).client
    answer = ask(client, route, host)
    assert answer.status == "503 The model is still loading; try again in a few seconds."
    assert answer.json == {"error": "The model is still loading; try again in a few seconds."}
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("route", ["/setup", "/predict", "/versions"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WeightsError("there are no weights called 'x'"), "there are no weights called 'x'"),
        (RuntimeError("internals"), "RuntimeError, see the server's log"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told(
    serve: Callable[..., Serving],
    caplog: pytest.LogCaptureFixture,
    route: str,
    host: str,
    error: Exception,
    said: str,
) -> None:
    def fail() -> None:
        raise error

    serving = serve(fail)
    answer = ask(serving.client, route, host)
    assert (answer.status_code, answer.json) == (503, {"error": f"The model could not be loaded: {said}."})
    assert serving.model.state is ModelState.FAILED
    assert health(serving.client)["state"] == "failed"
    assert serving.client.get("/ready").status_code == 503
    assert str(error) in caplog.text


def test_setup_and_predict_wait_for_a_model_that_is_nearly_there(
    serve: Callable[..., Serving], load: Callable[[], Predictor], host: str
) -> None:
    loading = threading.Event()
    client = serve(lambda: (loading.wait(), load())[1]).client
    threading.Timer(0.3, loading.set).start()
    assert client.post("/setup", json=captured("connect_2_setup")).json == {"model_version": "colour-1"}


def ask(client: FlaskClient, route: str, host: str) -> Any:
    if route == "/setup":
        return client.post(route, json=captured("connect_2_setup"))
    return (
        client.get(route) if route == "/versions" else client.post(route, json=predict_request(host, "img1"))
    )


def test_the_metrics_count(client: FlaskClient, host: str) -> None:
    client.post("/predict", json=predict_request(host, "img1", "broken", "img2"))
    client.get("/nowhere")
    client.post("/predict", json=captured("interactive_rectanglelabels"))
    assert metric(client, "prelabel_prompt_seconds_count") == 1
    assert metric(client, "prelabel_tasks_total") == 3
    assert metric(client, "prelabel_regions_total") == 4
    assert metric(client, 'prelabel_task_failures_total{reason="decode"}') == 1
    assert metric(client, "prelabel_predict_seconds_count") == 1
    assert metric(client, 'prelabel_requests_total{method="POST",route="/predict",status="200"}') == 2
    assert metric(client, 'prelabel_requests_total{method="GET",route="unknown",status="404"}') == 1
    assert metric(client, "prelabel_image_cache_bytes") > 0
    assert metric(client, "process_resident_memory_bytes") > 1e6


@pytest.mark.parametrize(
    ("route", "body", "said"),
    [
        ("/setup", b"", "The request body is not JSON."),
        ("/setup", b"{", "The request body is not JSON."),
        ("/setup", b"\xff\xfe", "The request body is not JSON."),
        ("/setup", b"[" * 100_000, "The request body is not JSON."),
        ("/setup", b"[]", "The request body must be a JSON object."),
        ("/setup", b"{}", "The field 'schema' must hold the labelling config."),
        ("/setup", b'{"schema": 7}', "The field 'schema' must hold the labelling config."),
        ("/predict", b"null", "The request body must be a JSON object."),
        ("/predict", b'{"label_config": "<View/>"}', "The field 'tasks' must be a list of tasks."),
        ("/predict", b'{"tasks": {}, "label_config": "x"}', "The field 'tasks' must be a list of tasks."),
        ("/predict", b'{"tasks": []}', "The field 'label_config' must hold the labelling config."),
        ("/webhook", b"not json", "The request body is not JSON."),
    ],
)
def test_a_wrong_request_is_told_in_one_sentence(
    client: FlaskClient, route: str, body: bytes, said: str
) -> None:
    answer = client.post(route, data=body)
    assert answer.status == f"400 {said}"
    assert answer.json == {"error": said}


@pytest.mark.parametrize("route", ["/setup", "/predict"])
def test_a_config_that_is_no_xml_is_told(client: FlaskClient, host: str, route: str) -> None:
    body = predict_request(host, "img1") | {"label_config": "<View", "schema": "<View"}
    answer = client.post(route, json=body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert list(answer.json) == ["error"]
    assert "Traceback" not in answer.text


def test_unknown_routes_and_methods_are_json(client: FlaskClient) -> None:
    answer = client.get("/nowhere?x=1")
    assert (answer.status_code, answer.json) == (404, {"error": "There is no route /nowhere."})
    answer = client.get("/predict")
    assert answer.status_code == 405
    assert answer.json == {"error": "/predict does not answer GET, only OPTIONS, POST."}
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


@pytest.mark.parametrize("what", ["runs", "versions"])
def test_a_number_that_no_project_can_have_is_no_route(client: FlaskClient, what: str) -> None:
    assert client.get(f"/api/projects/{2**31 - 1}/{what}").json == []
    answer = client.get(f"/api/projects/{10**21}/{what}")
    assert (answer.status_code, answer.json) == (
        404,
        {"error": f"There is no route /api/projects/{10**21}/{what}."},
    )


def test_a_request_line_cannot_be_split(client: FlaskClient) -> None:
    answer = client.get("/no%0d%0aSet-Cookie:%20x=1")
    assert answer.status_code == 404
    assert "\n" not in answer.status
    assert "Set-Cookie" not in answer.headers


def test_a_body_beyond_all_measure_is_refused(
    serve: Callable[..., Serving], load: Callable[[], Predictor], host: str
) -> None:
    serving = serve(load)
    assert serving.app.config["MAX_CONTENT_LENGTH"] == 256 * 2**20
    serving.app.config["MAX_CONTENT_LENGTH"] = 100
    answer = serving.client.post("/predict", json=predict_request(host, "img1"))
    assert (answer.status_code, answer.json) == (413, {"error": "The request is too large."})


def test_an_unforeseen_error_is_logged_with_the_id_that_is_told(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: Any) -> None:
        raise ZeroDivisionError("internals")

    monkeypatch.setattr(webhooks, "record_event", explode)
    answer = client.post("/webhook", json={"action": "X"})
    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["error"] == "internal error"
    assert "internals" not in answer.text
    assert f"internal error {answer.json['id']} at POST /webhook" in caplog.text
    assert "ZeroDivisionError: internals" in caplog.text


@pytest.fixture
def guarded(serve: Callable[..., Serving], load: Callable[[], Predictor]) -> Serving:
    serving = serve(load, basic_auth_user="ann", basic_auth_pass="sésame")
    serving.model.predictor(10)
    return serving


def test_open_routes_need_no_password(guarded: Serving) -> None:
    assert [guarded.client.get(route).status_code for route in ("/", "/health", "/ready")] == [200] * 3


def test_all_other_routes_do(guarded: Serving) -> None:
    closed = [route for route in guarded.routes if route not in ("/", "/health", "/ready")]
    assert len(closed) >= 5
    for route in [*closed, "/nowhere"]:
        for answer in (guarded.client.get(route), guarded.client.post(route, json={})):
            assert answer.status_code == 401
            assert answer.json == {"error": "User name and password are missing or wrong."}
            assert answer.headers["WWW-Authenticate"] == "Basic realm=prelabel"


@pytest.mark.parametrize(
    "credentials",
    [
        "Basic " + b64encode(b"ann:wrong").decode(),
        "Basic " + b64encode("bob:sésame".encode()).decode(),
        "Basic " + b64encode(b"ann:").decode(),
        "Basic !!!",
        "Basic",
        "Bearer ann",
        "Token ann:sésame".encode().decode("latin-1"),
    ],
)
def test_wrong_credentials_are_refused(guarded: Serving, credentials: str) -> None:
    assert guarded.client.get("/versions", headers={"Authorization": credentials}).status_code == 401


def test_right_credentials_are_let_in(guarded: Serving) -> None:
    assert guarded.client.get("/versions", headers=USER).json == {"versions": ["colour-1"]}
    assert guarded.client.post("/webhook", json={"action": "X"}, headers=USER).status_code == 201
    assert guarded.client.get("/metrics", headers=USER).status_code == 200
