"""The routes of the ML-backend contract, asked as Label Studio asks them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from serving import CONFIG, IMAGE_SIZE, WEBHOOKS, Serving, captured, image_number, metric, predict_request
from sqlalchemy import func, select

from prelabel.labelstudio.shapes.brush_rle import rle_to_mask
from prelabel.store.database import Database
from prelabel.store.events import WebhookEvent


@pytest.mark.parametrize("name", ["connect_2_setup", "connect_basic_auth_setup", "setup_jwt_only_org"])
def test_setup_answers_the_version(client: FlaskClient, name: str) -> None:
    answer = client.post("/setup", json=captured(name))
    assert (answer.status_code, answer.json) == (200, {"model_version": "colour-1"})


@pytest.mark.parametrize("extra", [None, {"threshold": 0.5}, "text", "{}", [1, 2], 7, True])
def test_setup_takes_any_extra_params(client: FlaskClient, extra: Any) -> None:
    assert (
        client.post("/setup", json=captured("connect_2_setup") | {"extra_params": extra}).status_code == 200
    )


def test_setup_logs_the_label_map_once_per_config(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    body = captured("connect_2_setup")
    with caplog.at_level(logging.INFO, logger="prelabel"):
        for _ in range(3):
            client.post("/setup", json=body)
    lines = [line for line in caplog.messages if line.startswith("project 1: ")]
    assert len(lines) == len(set(lines)) > 0
    assert any("'rect'" in line and "Disc -> Disc" in line for line in lines)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="prelabel"):
        client.post("/setup", json=body | {"project": "2.1795218738"})
    assert any(line.startswith("project 2: ") for line in caplog.messages)


def test_setup_says_when_no_label_is_shared(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    config = CONFIG.replace("Disc", "Cat").replace("Box", "Dog")
    answer = client.post("/setup", json=captured("connect_2_setup") | {"schema": config})
    assert answer.json == {"model_version": "colour-1"}
    assert "project 1: nothing will be pre-labelled" in caplog.text
    assert "it knows Disc, Box, Wedge" in caplog.text


def test_setup_takes_the_config_of_a_new_project(client: FlaskClient) -> None:
    answer = client.post("/setup", json=captured("connect_2_setup") | {"schema": "<View></View>"})
    assert answer.json == {"model_version": "colour-1"}


def test_versions_names_the_model(client: FlaskClient) -> None:
    assert client.get("/versions").json == {"versions": ["colour-1"]}


@pytest.mark.parametrize(
    "name",
    [
        "predict_open_task_upload",
        "predict_batch_upload_localfiles_http",
        "predict_label_stream",
        "predict_dm_page_auto",
    ],
)
def test_recorded_predict_requests(client: FlaskClient, host: str, name: str) -> None:
    body = captured(name, image_host=host)
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    assert answer.json is not None
    results = answer.json["results"]
    urls = [task["data"]["image"] for task in body["tasks"]]
    wanted = [int(url.rpartition("img")[2].partition(".")[0]) for url in urls]
    assert [image_number(result) for result in results] == wanted
    assert {result["model_version"] for result in results} == {"colour-1"}


def test_a_request_without_one_readable_image_stores_nothing(client: FlaskClient, host: str) -> None:
    body = captured("predict_batch_s3")
    answer = client.post("/predict", json=body)
    assert answer.status_code == 503
    assert answer.json is not None and list(answer.json) == ["error"]
    assert answer.json["error"].startswith("No image could be looked at: image: ")
    assert answer.status.startswith("503 No image could be looked at: image: ")
    assert metric(client, 'prelabel_task_failures_total{reason="fetch"}') == len(body["tasks"])
    assert metric(client, "prelabel_tasks_total") == len(body["tasks"])


@pytest.mark.parametrize("name", ["missing.png", "broken-img3.png", "blue.png"])
def test_a_task_whose_image_fails_has_no_result_that_label_studio_could_store(
    client: FlaskClient, host: str, name: str
) -> None:
    answer: Any = client.post("/predict", json=predict_request(host, "img1", name, "img2")).json
    first, failed, last = answer["results"]
    assert [image_number(first), image_number(last)] == [1, 2]
    assert list(failed) == ["error"]
    assert failed["error"].startswith(("image: ", "the network failed"))
    assert client.post("/predict", json=predict_request(host, name)).status_code == 503


def test_an_image_without_objects_has_a_result_to_store(client: FlaskClient, host: str) -> None:
    config = CONFIG.replace('name="rect"', 'name="rect" model_score_threshold="0.9"')
    config = config.replace('name="brush"', 'name="brush" model_score_threshold="0.9"')
    request = predict_request(host, "img1") | {"label_config": config}
    [prediction] = client.post("/predict", json=request).json["results"]
    assert (prediction["result"], prediction["score"]) == ([], pytest.approx(0.1))


def test_nothing_to_look_at_is_an_empty_prediction(client: FlaskClient, host: str) -> None:
    request = predict_request(host, "missing.png") | {"label_config": CONFIG.replace("Disc", "Cat")}
    request["label_config"] = request["label_config"].replace("Box", "Dog")
    answer = client.post("/predict", json=request)
    assert answer.json == {"results": [{"result": [], "score": 0.0001, "model_version": "colour-1"}]}


def test_a_task_with_one_of_two_images_keeps_its_regions_and_comes_first(
    client: FlaskClient, host: str
) -> None:
    config = """<View><Image name="a" value="$a"/><Image name="b" value="$b"/>
      <RectangleLabels name="on-a" toName="a"><Label value="Disc"/></RectangleLabels>
      <RectangleLabels name="on-b" toName="b"><Label value="Disc"/></RectangleLabels></View>"""
    data = {"a": f"http://{host}/missing.png", "b": f"http://{host}/img4.png"}
    body = {"tasks": [{"id": 1, "data": data}], "label_config": config, "project": "7.1"}
    [prediction] = client.post("/predict", json=body).json["results"]
    assert [region["from_name"] for region in prediction["result"]] == ["on-b"]
    assert prediction["score"] == 0.0


@pytest.mark.parametrize(
    ("name", "share"),
    [("interactive_rectanglelabels", 0.22), ("interactive_keypointlabels_positive_and_negative", 0.0017)],
)
def test_a_recorded_smart_tool_gets_one_region_of_the_picked_label(
    client: FlaskClient, host: str, name: str, share: float
) -> None:
    request = captured(name)
    request["tasks"][0]["data"]["image"] = f"http://{host}/img1.png"
    answer: Any = client.post("/predict", json=request).json
    [prediction] = answer["results"]
    [region] = prediction["result"]
    assert (region["type"], region["from_name"]) == ("brushlabels", "brush")
    assert region["value"]["brushlabels"] == ["Wedge"]
    assert (prediction["score"], prediction["model_version"]) == (0.8, "colour-1")
    mask = rle_to_mask(region["value"]["rle"], IMAGE_SIZE)
    assert mask.area / (IMAGE_SIZE[0] * IMAGE_SIZE[1]) == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(
    "context", [{}, "text", 7, [], {"result": None}, {"result": [{"type": "brushlabels"}]}]
)
def test_a_smart_tool_that_sends_something_else_gets_a_valid_empty_answer(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, context: Any
) -> None:
    request = captured("interactive_rectanglelabels") | {"params": {"context": context}}
    answer = client.post("/predict", json=request)
    assert answer.status_code == 200
    assert answer.json == {"results": [{"result": [], "score": 0.0, "model_version": "colour-1"}]}
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage().startswith("project 14, task 1064: smart tool: ")
    assert warning.exc_info is None


def test_predict_without_params_is_an_ordinary_one(client: FlaskClient, host: str) -> None:
    body = predict_request(host, "img4")
    del body["params"]
    for request in (
        body,
        body | {"params": None},
        body | {"params": {}},
        body | {"params": {"context": None}},
    ):
        answer: Any = client.post("/predict", json=request).json
        assert [image_number(result) for result in answer["results"]] == [4]


def test_answers_are_strict_json(client: FlaskClient, host: str) -> None:
    """Label Studio loses a whole batch over one NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(client.post("/predict", json=predict_request(host, "img1")).text, parse_constant=refuse)


def count_events(database: Database) -> int | None:
    with database.session() as session:
        return session.scalar(select(func.count()).select_from(WebhookEvent))


@pytest.mark.parametrize("name", WEBHOOKS)
def test_recorded_webhooks_are_stored(client: FlaskClient, database: Database, name: str) -> None:
    body = captured(name)
    first, second = client.post("/webhook", json=body), client.post("/webhook", json=body)
    assert (first.status_code, first.json) == (201, {"status": "recorded"})
    assert (second.status_code, second.json) == (200, {"status": "repeated"})
    assert count_events(database) == 1


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '{"action": {"a": 1}, "project": []}', '"\\ud800\\u0000"']
)
def test_odd_webhooks_are_harmless(client: FlaskClient, database: Database, body: str) -> None:
    assert client.post("/webhook", data=body).status_code == 201
    with database.session() as session:
        assert session.scalars(select(WebhookEvent)).one().payload == body


def test_webhooks_are_taken_while_the_model_loads(
    serve: Callable[..., Serving], slow: threading.Event, database: Database
) -> None:
    assert serve(slow.wait).client.post("/webhook", json={"action": "X"}).status_code == 201
