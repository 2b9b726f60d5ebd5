"""Who may call the console: names, tokens, other sites, passwords; and that it costs nothing before it is opened."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from serving import Serving

from prelabel.console.context import Context
from prelabel.console.guard import TOKEN_COOKIE, TOKEN_HEADER
from prelabel.console.pages import LIVE
from prelabel.inference.predictor import Predictor
from prelabel.server import console_routes
from prelabel.store.actions import list_actions
from prelabel.store.database import Database, StoreError
from prelabel.store.label_counts import note_project
from prelabel.store.runs import list_runs

UPDATE = "/console/_dash-update-component"
START = {"role": "do", "action": "start training", "project": 7, "of": ""}

CONFIRMED = {
    "output": "..told.sendNotifications...confirm.opened@f0a1..",
    "outputs": [],
    "inputs": [{"id": "confirm-yes", "property": "n_clicks", "value": 1}],
    "state": [{"id": "pending", "property": "data", "value": START}],
    "changedPropIds": ["confirm-yes.n_clicks"],
}


def confirmed(client: FlaskClient) -> dict[str, Any]:
    """What the browser sends when somebody confirms Start Training, by the ids that Dash gave."""
    callbacks = client.get("/console/_dash-dependencies").json
    [own] = [one for one in callbacks if any(part["id"] == "confirm-yes" for part in one["inputs"])]
    names = own["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    return CONFIRMED | {"output": own["output"], "outputs": outputs}


def token_of(client: FlaskClient) -> str:
    client.get("/console/")
    cookie = client.get_cookie(TOKEN_COOKIE, path="/console/")
    assert cookie is not None and cookie.same_site == "Strict"
    return cookie.value


@pytest.fixture
def ready(client: FlaskClient, database: Database) -> FlaskClient:
    note_project(database, 7)
    return client


def test_what_is_confirmed_is_done_and_logged(ready: FlaskClient, database: Database) -> None:
    token = token_of(ready)
    answer = ready.post(UPDATE, json=confirmed(ready), headers={TOKEN_HEADER: token})
    assert answer.status_code == 200, answer.text
    assert "Run 1 of project 7 is queued. No worker runs on this machine" in answer.text
    [run] = list_runs(database, 7)
    assert run.requested_by == "the console"
    [action] = list_actions(database, 7)
    assert (action.who, action.action) == ("127.0.0.1", "start training")
    assert action.result.startswith("Run 1 of project 7 is queued.")


def test_a_name_that_no_password_proved_is_not_believed(ready: FlaskClient, database: Database) -> None:
    user = {"Authorization": "Basic " + b64encode(b"boss:x").decode()}
    ready.post(UPDATE, json=confirmed(ready), headers={TOKEN_HEADER: token_of(ready), **user})
    assert [action.who for action in list_actions(database)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("mode", "status"),
    [("no-cors", 403), ("cors", 403), ("navigate", 200)],
    ids=["picture", "script", "link"],
)
def test_other_sites_may_link_here_and_load_nothing(ready: FlaskClient, mode: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
    assert ready.get("/console/", headers=headers).status_code == status
    assert ready.get("/console/pictures/tasks/1.jpg", headers=headers).status_code in (status, 404)
    assert ready.get("/console/").headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_pages_leave_threads_to_label_studio(
    serve: Callable[..., Serving], load: Callable[[], Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 4 threads, one is theirs."""
    monkeypatch.setattr(console_routes, "TURN_SECONDS", 0.1)
    slow, begun = threading.Event(), threading.Event()

    def page(environ: Any, start: Any) -> list[bytes]:
        begun.set()
        slow.wait(10)
        start("200 OK", [])
        return [b""]

    monkeypatch.setattr(console_routes, "_create", lambda *given: page)
    app = serve(load, threads=4).app
    first = threading.Thread(target=lambda: app.test_client().get("/console/"))
    first.start()
    begun.wait(10)
    assert app.test_client().get("/console/").status_code == 503
    assert app.test_client().get("/health").status_code == 200
    slow.set()
    first.join()
    assert app.test_client().get("/console/").status_code == 200


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "token is missing"),
        ({TOKEN_HEADER: "guessed"}, "token is missing"),
        ({"Origin": "http://evil.example"}, "another site"),
        ({"Origin": "null"}, "another site"),
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
        ({"Host": "evil.example"}, "not called evil.example"),
    ],
)
def test_what_no_page_of_ours_sent_is_refused(
    ready: FlaskClient, database: Database, headers: dict[str, str], said: str
) -> None:
    given = {TOKEN_HEADER: token_of(ready)} if not headers or TOKEN_HEADER not in headers else {}
    body = confirmed(ready)
    if not headers:
        given = {}
    answer = ready.post(UPDATE, json=body, headers={**given, **headers})
    assert answer.status_code == 403
    assert said in answer.text
    assert list_runs(database) == [] and list_actions(database) == []


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])
def test_foreign_names_see_no_page(ready: FlaskClient, name: str) -> None:
    assert ready.get("/console/", headers={"Host": name}).status_code in (400, 403)


@pytest.mark.parametrize(
    "name", ["localhost:9090", "127.0.0.1:9090", "[::1]:9090", "192.168.7.7", "LOCALHOST"]
)
def test_names_of_this_machine_do(ready: FlaskClient, name: str) -> None:
    assert ready.get("/console/", headers={"Host": name}).status_code == 200


def test_further_names_are_a_setting(serve: Callable[..., Serving], load: Callable[[], Predictor]) -> None:
    client = serve(load, prelabel_console_hosts=("Labels.example",)).client
    assert client.get("/console/", headers={"Host": "labels.example:9090"}).status_code == 200


def test_a_password_holds_for_every_page_and_any_name(
    serve: Callable[..., Serving], load: Callable[[], Predictor], database: Database
) -> None:
    client = serve(load, basic_auth_user="ann", basic_auth_pass="secret").client
    for path in (
        "/console/",
        "/console/_dash-layout",
        "/console/pictures/tasks/1.jpg",
        "/console/assets/console.css",
    ):
        assert client.get(path).status_code == 401
    user = {"Authorization": "Basic " + b64encode(b"ann:secret").decode()}
    named = {**user, "Host": "labels.example"}
    assert client.get("/console/", headers=named).status_code == 200
    note_project(database, 7)
    body = CONFIRMED
    assert client.post(UPDATE, json=body, headers=user).status_code == 403


def refreshed(client: FlaskClient, part: str) -> dict[str, Any]:
    """What the browser sends for a live part of a page."""
    place = {"name": part, "args": ""}
    callbacks = client.get("/console/_dash-dependencies").json
    [own] = [one for one in callbacks if '"role":"tick"' in one["inputs"][0]["id"]]
    tick = json.dumps({"args": "", "name": part, "role": "tick"}, separators=(",", ":"))
    return {
        "output": own["output"],
        "outputs": {"id": {"role": "live", **place}, "property": "children"},
        "inputs": [{"id": {"role": "tick", **place}, "property": "n_intervals", "value": 1}],
        "state": [{"id": {"role": "tick", **place}, "property": "id", "value": {"role": "tick", **place}}],
        "changedPropIds": [f"{tick}.n_intervals"],
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [(StoreError("the database is full"), "the database is full"), (RuntimeError("s3cret"), "log says why")],
)
def test_what_goes_wrong_on_an_open_page_is_told(
    ready: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    token = token_of(ready)

    def fail(context: Context) -> None:
        raise error

    monkeypatch.setitem(LIVE, "overview", fail)
    answer = ready.post(UPDATE, json=refreshed(ready, "overview"), headers={TOKEN_HEADER: token})
    assert answer.status_code == 200
    assert said in answer.text and "s3cret" not in answer.text


def test_pages_are_never_framed_and_load_nothing_from_elsewhere(ready: FlaskClient) -> None:
    answer = ready.get("/console/")
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'self'" in policy
    assert "http://" not in answer.text and "https://" not in answer.text


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", 302),
        ("*/*", 200),
        ("application/json", 200),
        (None, 200),
    ],
)
def test_people_are_led_to_the_pages_and_label_studio_is_answered(
    ready: FlaskClient, accept: str | None, status: int
) -> None:
    answer = ready.get("/", headers={"Accept": accept} if accept else {})
    assert answer.status_code == status
    assert answer.headers.get("Location") == ("/console/" if status == 302 else None)


def test_it_is_not_imported_before_somebody_opens_a_page() -> None:
    script = (
        "import sys, prelabel.server.process\n"
        "assert not {'dash', 'plotly', 'prelabel.console'} & set(sys.modules)\n"
        "import prelabel.console.app\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
