"""A reverse proxy in front of Label Studio: told from Label Studio by its refusals, and passed with the headers set."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from default_limits import fetch_limits
from stand_in import Answer, Request, StandIn, jwt, stand_in

from prelabel.connect.doctor.examination import Examination
from prelabel.connect.doctor.label_studio_checks import label_studio
from prelabel.labelstudio.api.client import LabelStudioClient, label_studio_client
from prelabel.labelstudio.errors import FetchError, LabelStudioError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.settings import SettingsError, load_settings
from prelabel.settings.label_studio import read_headers

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PAT = jwt(token_type="refresh", exp=8102427400, iat=1795227400)
PASSWORD = "Basic " + base64.b64encode(b"ann:sesame").decode()
BASIC_AUTH = {"Authorization": PASSWORD}
ASKS = {"WWW-Authenticate": 'Basic realm="Restricted"', "Content-Type": "text/html"}
WHOAMI = "/api/current-user/whoami"


@pytest.fixture
def server() -> Iterator[StandIn]:
    """Label Studio as it is seen through a proxy: whoami needs the right legacy token, in either header."""
    with stand_in() as server:
        server.answers(WHOAMI, _whoami)
        yield server


def _whoami(request: Request) -> Answer:
    key = request.headers["X-Api-Key"]  # Label Studio puts it in the place of Authorization
    if (f"Token {key}" if key else request.token) == f"Token {LEGACY}":
        return Answer({"email": "me@example.com"})
    return Answer({"detail": "Invalid token."}, 401, {"WWW-Authenticate": "Token"})


def behind_basic_auth(server: StandIn, path: str = WHOAMI) -> None:
    """Have the proxy ask for the password, and for another header, before Label Studio is asked."""
    route = server.routes[path]
    server.answers(
        path, lambda request: route(request) if request.token == PASSWORD else Answer(b"", 401, ASKS)
    )


def test_basic_auth_is_passed_and_the_token_arrives(server: StandIn) -> None:
    behind_basic_auth(server)
    assert LabelStudioClient(server.url, LEGACY, headers=BASIC_AUTH).whoami()["email"] == "me@example.com"


@pytest.mark.parametrize("key", [LEGACY, PAT])
def test_basic_auth_is_recognised_and_the_token_is_not_blamed(server: StandIn, key: str) -> None:
    for path in (WHOAMI, "/api/token/refresh/"):
        server.answers(path, Answer(b"<h1>401</h1>", 401, ASKS))
    with pytest.raises(
        LabelStudioError, match="asks for a user name and password: set PRELABEL_LABEL_STUDIO_HEADERS"
    ):
        LabelStudioClient(server.url, key).whoami()


def test_a_wrong_password_is_told_from_a_missing_one(server: StandIn) -> None:
    behind_basic_auth(server)
    wrong = {"authorization": "Basic d3Jvbmc6d3Jvbmc="}
    with pytest.raises(LabelStudioError, match="check what PRELABEL_LABEL_STUDIO_HEADERS sends") as caught:
        LabelStudioClient(server.url, LEGACY, headers=wrong).whoami()
    assert "d3Jvbmc6d3Jvbmc=" not in str(caught.value)


def test_behind_the_proxy_a_wrong_token_is_still_label_studios_matter(server: StandIn) -> None:
    behind_basic_auth(server)
    with pytest.raises(LabelStudioError, match="refuses the legacy token"):
        LabelStudioClient(server.url, "f" * 40, headers=BASIC_AUTH).whoami()


def test_a_personal_access_token_beside_basic_auth_is_refused_with_the_remedy(server: StandIn) -> None:
    with pytest.raises(
        LabelStudioError, match="personal access token in no other header: give LABEL_STUDIO_API_KEY a"
    ):
        LabelStudioClient(server.url, PAT, headers=BASIC_AUTH)
    assert not server.requests


def test_headers_of_another_kind_leave_the_token_where_it_is(server: StandIn) -> None:
    refresh = "/api/token/refresh/"
    server.answers(refresh, Answer({"access": jwt(token_type="access", iat=0, exp=300)}))
    server.answers(WHOAMI, Answer({"email": "me@example.com"}))
    LabelStudioClient(server.url, PAT, headers={"X-Proxy-Key": "sesame"}).whoami()
    assert [request.headers["X-Proxy-Key"] for request in server.requests] == ["sesame", "sesame"]
    assert str(server.asked(WHOAMI)[0].token).startswith("Bearer ")


@pytest.mark.parametrize("status", [401, 403])
def test_a_page_of_something_in_front_is_not_label_studios(server: StandIn, status: int) -> None:
    server.answers(
        WHOAMI, Answer(b"<html>Sign in</html>", status, {"Content-Type": "text/html; charset=utf-8"})
    )
    with pytest.raises(
        LabelStudioError, match=f"Something in front of Label Studio at .* answers {status} with a page"
    ):
        LabelStudioClient(server.url, LEGACY).whoami()


@pytest.mark.parametrize(
    "target", ["https://accounts.example.com/o/oauth2/auth?state=secret", "/oauth2/start?rd=secret"]
)
def test_a_redirect_to_a_page_to_sign_in_at_is_named_without_its_query(server: StandIn, target: str) -> None:
    server.answers(WHOAMI, Answer(b"", 302, {"Location": target}))
    with pytest.raises(
        LabelStudioError, match=r"to the login page .*PRELABEL_LABEL_STUDIO_HEADERS"
    ) as caught:
        LabelStudioClient(server.url, LEGACY).whoami()
    assert target.partition("?")[0] in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_label_studio_that_moved_says_where_to(server: StandIn) -> None:
    server.answers(WHOAMI, Answer(b"", 301, {"Location": f"https://label.example.com{WHOAMI}"}))
    with pytest.raises(
        LabelStudioError, match=r"redirects to https://label\.example\.com: set the URL to that"
    ):
        LabelStudioClient(server.url, LEGACY).whoami()


def test_images_of_label_studio_pass_the_proxy_and_strangers_get_no_header(
    server: StandIn, tmp_path: Path
) -> None:
    with stand_in() as stranger:
        stranger.answers("/photo.jpg", Answer(b"photo"))
        server.answers("/data/upload/1/a.jpg", Answer(b"upload"))
        server.answers("/data/upload/1/b.jpg", Answer(b"", 302, {"Location": f"{stranger.url}/photo.jpg"}))
        for path in ("/data/upload/1/a.jpg", "/data/upload/1/b.jpg"):
            behind_basic_auth(server, path)
        client = LabelStudioClient(server.url, LEGACY, headers={**BASIC_AUTH, "X-Proxy-Key": "sesame"})
        fetcher = ImageFetcher(client, fetch_limits(allow_private=True), tmp_path)
        assert fetcher.fetch("/data/upload/1/a.jpg") == b"upload"
        assert fetcher.fetch("/data/upload/1/b.jpg") == b"photo"
        assert fetcher.fetch(f"{stranger.url}/photo.jpg") == b"photo"
        for name in ("Authorization", "X-Api-Key", "X-Proxy-Key"):
            assert {request.headers[name] for request in stranger.requests} == {None}


def test_an_image_that_a_proxy_refuses_names_the_proxy(server: StandIn, tmp_path: Path) -> None:
    server.answers("/data/upload/1/a.jpg", Answer(b"", 401, ASKS))
    fetcher = ImageFetcher(LabelStudioClient(server.url, LEGACY), fetch_limits(allow_private=True), tmp_path)
    with pytest.raises(FetchError, match="A proxy in front of Label Studio"):
        fetcher.fetch("/data/upload/1/a.jpg")


def test_the_setting_reaches_every_client_and_no_text(
    monkeypatch: pytest.MonkeyPatch, server: StandIn
) -> None:
    monkeypatch.setenv("PRELABEL_LABEL_STUDIO_HEADERS", json.dumps(BASIC_AUTH))
    settings = load_settings(label_studio_url=server.url, label_studio_api_key=LEGACY)
    behind_basic_auth(server)
    assert label_studio_client(settings).whoami()["email"] == "me@example.com"
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "sesame",
        "[]",
        '"sesame"',
        '{"X-Key": 5}',
        '{"X Key": "sesame"}',
        '{"": "sesame"}',
        '{"X-Key": "sesame\\n"}',
        "{",
    ],
)
def test_headers_that_are_none_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(SettingsError, match="PRELABEL_LABEL_STUDIO_HEADERS must") as caught:
        load_settings(prelabel_label_studio_headers=text)
    assert "sesame" not in str(caught.value)


def test_the_documented_line_for_a_shell_is_right() -> None:
    assert read_headers('{"Authorization": "Basic YW5uOnNlc2FtZQ=="}') == BASIC_AUTH


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"", 401, ASKS), "asks for a user name and password"),
        (Answer(b"<html>", 403, {"Content-Type": "text/html"}), "answers 403 with a page of its own"),
        (Answer(b"", 302, {"Location": "https://sso.example.com/login"}), "to the login page"),
        (
            Answer(b"", 301, {"Location": "https://label.example.com/api/version"}),
            "redirects to https://label.example.com",
        ),
    ],
)
def test_the_doctor_knows_the_cause(server: StandIn, answer: Answer, said: str) -> None:
    server.answers("/api/version", answer)
    settings = load_settings(label_studio_url=server.url, label_studio_api_key=LEGACY)
    verdict = label_studio(Examination(settings, 1))
    assert said in verdict.detail


def test_the_doctor_passes_the_proxy(server: StandIn) -> None:
    server.answers("/api/version", Answer({"release": "1.23.2"}))
    behind_basic_auth(server, "/api/version")
    headers = json.dumps(BASIC_AUTH)
    settings = load_settings(label_studio_url=server.url, prelabel_label_studio_headers=headers)
    assert "1.23.2" in label_studio(Examination(settings, 1)).detail
