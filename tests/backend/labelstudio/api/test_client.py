"""Tokens, calls and errors of the Label Studio client, against a server that answers as Label Studio does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stand_in import Answer, Request, StandIn, jwt, stand_in

from prelabel.labelstudio.api.client import LabelStudioClient, LabelStudioError
from prelabel.labelstudio.api.tokens import PersonalAccessToken

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PAT = jwt(token_type="refresh", exp=8102427400, iat=1795227400)
WHOAMI = "/api/current-user/whoami"
REFRESH = "/api/token/refresh/"


class Tokens:
    """Hands out access tokens that live `life` seconds; all but the last one are refused."""

    def __init__(self, server: StandIn, life: float = 300.0, clock_ahead: float = 0.0) -> None:
        self.issued: list[str] = []
        self.life, self.clock_ahead = life, clock_ahead
        server.answers(REFRESH, self.refresh)
        server.answers(WHOAMI, self.whoami)

    def refresh(self, request: Request) -> Answer:
        if json.loads(request.body)["refresh"] != PAT:
            return Answer({"detail": "Token is invalid"}, 401)
        now = time.time() + self.clock_ahead
        self.issued.append(jwt(token_type="access", iat=now, exp=now + self.life, jti=len(self.issued)))
        return Answer({"access": self.issued[-1]})

    def whoami(self, request: Request) -> Answer:
        if self.issued and request.token == f"Bearer {self.issued[-1]}":
            return Answer({"email": "me@example.com"})
        return Answer({"detail": "Given token not valid for any token type"}, 401)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def test_legacy_token_is_sent_as_it_is(server: StandIn):
    server.answers(WHOAMI, Answer({"email": "me@example.com"}))
    client = LabelStudioClient(server.url + "/", LEGACY)

    assert client.whoami()["email"] == "me@example.com"
    assert client.token_kind == "legacy token"
    assert server.asked(WHOAMI)[0].token == f"Token {LEGACY}"
    assert not server.asked(REFRESH)


def test_personal_access_token_is_exchanged_once_for_many_calls(server: StandIn):
    tokens = Tokens(server)
    client = LabelStudioClient(server.url, PAT)
    for _ in range(3):
        assert client.whoami()["email"] == "me@example.com"

    assert client.token_kind == "personal access token"
    assert len(tokens.issued) == 1
    assert server.requests[-1].token == f"Bearer {tokens.issued[0]}"
    assert all(PAT not in str(request.token) for request in server.requests)


@pytest.mark.parametrize(("life", "exchanges"), [(29.0, 2), (31.0, 1)])
def test_access_token_is_replaced_when_less_than_thirty_seconds_are_left(
    server: StandIn, life: float, exchanges: int
):
    tokens = Tokens(server, life=life)
    client = LabelStudioClient(server.url, PAT)
    client.whoami()
    client.whoami()

    assert len(tokens.issued) == exchanges


@pytest.mark.parametrize("clock_ahead", [-3600, 3600])
def test_a_server_clock_that_is_off_does_not_cost_an_exchange_per_call(server: StandIn, clock_ahead: float):
    tokens = Tokens(server, clock_ahead=clock_ahead)
    client = LabelStudioClient(server.url, PAT)
    client.whoami()
    client.whoami()

    assert len(tokens.issued) == 1


def test_access_token_without_issue_time_is_used_until_it_expires(server: StandIn):
    tokens = Tokens(server)

    def refresh(_: Request) -> Answer:
        tokens.issued.append(jwt(token_type="access", exp=time.time() + 300, jti=len(tokens.issued)))
        return Answer({"access": tokens.issued[-1]})

    server.answers(REFRESH, refresh)
    client = LabelStudioClient(server.url, PAT)
    client.whoami()
    client.whoami()

    assert len(tokens.issued) == 1


def test_a_refused_access_token_is_renewed_once(server: StandIn):
    tokens = Tokens(server)
    client = LabelStudioClient(server.url, PAT)
    client.whoami()
    tokens.issued.append("made void by the server")

    assert client.whoami()["email"] == "me@example.com"
    assert [request.path for request in server.requests] == [REFRESH, WHOAMI, WHOAMI, REFRESH, WHOAMI]


def test_a_call_refused_for_good_is_tried_twice_and_explained(server: StandIn):
    Tokens(server)
    server.answers(WHOAMI, Answer({"detail": "no"}, 401))
    client = LabelStudioClient(server.url, PAT)

    with pytest.raises(LabelStudioError, match=r"refuses the personal access token: it was revoked") as error:
        client.whoami()
    assert error.value.status == 401
    assert len(server.asked(WHOAMI)) == 2


def test_many_threads_share_one_exchange(server: StandIn):
    tokens = Tokens(server)
    client = LabelStudioClient(server.url, PAT)
    start = threading.Barrier(8)

    def call(_: int) -> str:
        start.wait()
        return client.whoami()["email"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == ["me@example.com"] * 8
    assert len(tokens.issued) == 1


def test_threads_refused_with_the_same_token_renew_it_once():
    tokens = iter("abc")
    credentials = PersonalAccessToken(PAT, lambda _: jwt(exp=300, iat=0, jti=next(tokens)))
    refused = credentials.header()

    assert credentials.renew(refused)
    renewed = credentials.header()
    assert credentials.renew(refused)
    assert credentials.header() == renewed != refused


def test_refused_legacy_token_says_that_they_are_off_by_default(server: StandIn):
    server.answers(WHOAMI, Answer({"detail": "legacy token authentication has been disabled"}, 401))

    with pytest.raises(LabelStudioError, match=r"legacy tokens are off.*personal access token") as error:
        LabelStudioClient(server.url, LEGACY).whoami()
    assert LEGACY not in str(error.value)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "No Label Studio token is set"),
        ("abc def", "characters that no token has"),
        ("tökén", "characters that no token has"),
        (jwt(token_type="access", exp=1), "is an access token, which soon expires"),
    ],
)
def test_a_token_that_can_never_work_is_refused_at_once(token: str, message: str):
    with pytest.raises(LabelStudioError, match=message) as error:
        LabelStudioClient("http://localhost:8080", token)
    assert not token or token not in str(error.value)


@pytest.mark.parametrize("url", ["localhost:8080", "", "ftp://host", "http://", "http://user:secret@host"])
def test_an_address_that_cannot_be_label_studio_is_refused_at_once(url: str):
    with pytest.raises(LabelStudioError, match=r"The Label Studio URL must") as error:
        LabelStudioClient(url, LEGACY)
    assert "secret" not in str(error.value)


def test_nobody_there():
    with pytest.raises(
        LabelStudioError, match=r"^Label Studio at http://127\.0\.0\.1:9 cannot be reached\.$"
    ) as error:
        LabelStudioClient("http://127.0.0.1:9", LEGACY).whoami()
    assert error.value.status is None


def test_silence_ends_at_the_timeout(server: StandIn):
    server.answers(WHOAMI, Answer({"email": "late"}, chunk_pause=3))
    client = LabelStudioClient(server.url, LEGACY, timeout=0.1)

    start = time.monotonic()
    with pytest.raises(LabelStudioError):
        client.whoami()
    assert time.monotonic() - start < 2


def test_redirects_are_not_followed_but_named(server: StandIn):
    with stand_in() as elsewhere:
        server.answers(WHOAMI, Answer(status=301, headers={"Location": f"{elsewhere.url}{WHOAMI}?secret=1"}))
        with pytest.raises(LabelStudioError, match=f"redirects to {elsewhere.url}: set the URL") as error:
            LabelStudioClient(server.url, LEGACY).whoami()
        assert "secret" not in str(error.value)
        assert not elsewhere.requests


def test_errors_carry_label_studios_own_words_without_markup(server: StandIn):
    answer = {
        "detail": "Validation error",
        "validation_errors": {"title": ["Too short."], "non_field_errors": ["<a href='x'>No</a>  way."]},
    }
    server.answers("/api/projects/", Answer(answer, 400))

    with pytest.raises(LabelStudioError) as error:
        LabelStudioClient(server.url, LEGACY).create_project("x", "<View/>")
    assert str(error.value) == "Label Studio answered POST /api/projects/ with 400: title: Too short. No way."
    assert error.value.status == 400


def test_an_answer_that_is_not_json_is_said_to_be_none(server: StandIn):
    server.answers(WHOAMI, Answer(b"<html>welcome to nginx</html>"))
    with pytest.raises(LabelStudioError, match=r"did not answer GET .*whoami with JSON"):
        LabelStudioClient(server.url, LEGACY).whoami()


def test_reads_are_repeated_after_a_hiccup_and_writes_are_not(server: StandIn):
    hiccups = iter([503, 200, 503, 200])
    server.answers("/api/projects/1/", lambda _: Answer({"id": 1}, next(hiccups)))
    client = LabelStudioClient(server.url, LEGACY)

    assert client.project(1) == {"id": 1}
    with pytest.raises(LabelStudioError) as error:
        client.update_project(1, title="new")
    assert error.value.status == 503
    assert [request.method for request in server.requests] == ["GET", "GET", "PATCH"]


def test_session_cookies_are_not_sent_back(server: StandIn):
    server.answers(WHOAMI, Answer({}, headers={"Set-Cookie": "sessionid=abc; Path=/"}))
    client = LabelStudioClient(server.url, LEGACY)
    client.whoami()
    client.whoami()

    assert [request.headers["Cookie"] for request in server.requests] == [None, None]


def test_netrc_does_not_replace_the_token(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers(WHOAMI, Answer({}))
    LabelStudioClient(server.url, LEGACY).whoami()

    assert server.requests[0].token == f"Token {LEGACY}"


@pytest.mark.parametrize("total", [0, 4, 5])
def test_tasks_are_read_page_by_page_with_their_urls_as_imported(server: StandIn, total: int):
    def page(request: Request) -> Answer:
        number, size = int(request.query["page"]), int(request.query["page_size"])
        ids = list(range(1, total + 1))[(number - 1) * size : number * size]
        if number > 1 and not ids:
            return Answer({"detail": "Invalid page."}, 404)
        return Answer({"total": total, "tasks": [{"id": task_id} for task_id in ids]})

    server.answers("/api/tasks", page)
    tasks = list(LabelStudioClient(server.url, LEGACY).tasks(7, page_size=2))

    assert [task["id"] for task in tasks] == list(range(1, total + 1))
    assert all(request.query["project"] == "7" for request in server.requests)
    assert all(request.query["resolve_uri"] == "false" for request in server.requests)
    assert all(request.query["fields"] == "all" for request in server.requests)


def test_writes_carry_what_label_studio_expects(server: StandIn, tmp_path: Path):
    server.answers("/api/projects/3/import", Answer({"task_ids": [8, 9]}, 201))
    server.answers("/api/projects/3/import/predictions", Answer({"created": 2}, 201))
    server.answers("/api/ml", Answer({"id": 4}, 201))
    server.answers("/api/predictions/5/", Answer(status=204))
    client = LabelStudioClient(server.url, LEGACY)
    (tmp_path / "a.jpg").write_bytes(b"one")
    (tmp_path / "b.jpg").write_bytes(b"two")

    assert client.import_files(3, [tmp_path / "a.jpg", tmp_path / "b.jpg"]) == [8, 9]
    assert client.import_predictions(3, [{"task": 8, "result": []}] * 2) == 2
    assert client.add_ml_backend(3, "http://b", "v1", basic_auth=("me", "pw")) == {"id": 4}
    client.delete_prediction(5)

    files, predictions, backend, delete = server.requests
    assert files.body.count(b'filename="a.jpg"') == files.body.count(b'filename="b.jpg"') == 1
    assert json.loads(predictions.body) == [{"task": 8, "result": []}] * 2
    assert json.loads(backend.body) == {
        "project": 3,
        "url": "http://b",
        "title": "v1",
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": "me",
        "basic_auth_pass": "pw",
    }
    assert delete.method == "DELETE"
