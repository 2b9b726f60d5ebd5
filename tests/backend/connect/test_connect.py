"""`connect_project`, and finding the server: what is changed, what is left alone, and how failures are worded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from label_studio_stand_in import CONFIG, PROJECT, LabelStudioStandIn
from stand_in import Answer, StandIn, stand_in
from typer.testing import CliRunner

from prelabel.cli import app
from prelabel.connect.connect import ConnectedProject, ConnectError, connect_project
from prelabel.connect.running_server import (
    RunningServer,
    ServerAbsent,
    ServerError,
    ServerNotReady,
    find_server,
    served_version,
)
from prelabel.labelstudio.api.backends import attached_backends, recorded_versions, same_url
from prelabel.labelstudio.api.client import LabelStudioError
from prelabel.labelstudio.config.smart_tools import missing_tools

URL = "http://prelabel:9090"
VERSION = "starter-aaaaaaaaaaaa"
OLDER = "kudzu-bbbbbbbbbbbb"
AUTH = ("ann", "s:e cret")
AUTH_HEADER = {"Authorization": "Basic YW5uOnM6ZSBjcmV0"}


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A prelabel server whose model is ready."""
    with stand_in() as server:
        server.answers(
            "/health", Answer({"status": "UP", "model_class": "prelabel", "model_version": VERSION})
        )
        server.answers("/versions", Answer({"versions": [VERSION]}))
        yield server


def connect(
    studio: LabelStudioStandIn, url: str = URL, version: str = VERSION, **options
) -> ConnectedProject:
    return connect_project(studio.client(), PROJECT, url, version, **options)


def only(rows: dict) -> dict:
    (row,) = rows.values()
    return row


def test_the_title_is_the_version_and_the_project_shows_it(studio):
    connection = connect(studio)
    backend = only(studio.backends)
    assert (backend["id"], backend["url"], backend["title"]) == (connection.backend_id, URL, VERSION)
    assert studio.project["model_version"] == VERSION
    assert only(studio.webhooks)["url"] == f"{URL}/webhook"
    assert connection.notes == ()


def test_a_second_time_changes_nothing(studio):
    connect(studio, basic_auth=AUTH)
    before = (dict(studio.backends), dict(studio.webhooks), dict(studio.project))
    assert connect(studio, f"{URL}/", basic_auth=AUTH).changes == ()
    assert (studio.backends, studio.webhooks, studio.project) == before


def test_a_backend_added_by_hand_is_taken_over(studio):
    studio.add_backend(f"{URL}/", "My model")
    studio.project |= {"model_version": "My model", "show_collab_predictions": False}
    changes = connect(studio).changes
    assert only(studio.backends)["title"] == studio.project["model_version"] == VERSION
    assert studio.project["show_collab_predictions"]
    assert any("webhook" in change for change in changes)
    assert only(studio.webhooks)["url"] == f"{URL}/webhook"


def test_a_new_version_renames_the_backend_and_the_old_one_stays_on_record(studio):
    connect(studio, version=OLDER)
    connect(studio)
    assert only(studio.backends)["title"] == studio.project["model_version"] == VERSION
    assert recorded_versions(attached_backends(studio.client(), PROJECT)) == [OLDER, VERSION]
    connect(studio, version=OLDER)
    assert recorded_versions(attached_backends(studio.client(), PROJECT)) == [VERSION, OLDER]


def test_a_server_that_moved_takes_its_backend_along(studio):
    connect(studio, "http://localhost:9090", OLDER)
    connection = connect(studio)
    assert only(studio.backends)["url"] == URL
    assert only(studio.webhooks)["url"] == f"{URL}/webhook"
    assert connection.changes[0].startswith("moved the ML backend from http://localhost:9090")
    assert recorded_versions(attached_backends(studio.client(), PROJECT)) == [OLDER, VERSION]


def test_backends_that_connect_left_elsewhere_become_one(studio):
    for url in ("http://a:9090", "http://a:9090/", "http://b:9090"):
        studio.add_backend(url, OLDER, description="prelabel")
        studio.add_webhook(f"{url.rstrip('/')}/webhook")
    connect(studio)
    assert only(studio.backends)["url"] == URL
    assert only(studio.webhooks)["url"] == f"{URL}/webhook"


def test_doubles_are_removed_and_what_belongs_to_others_stays(studio):
    other = studio.add_backend("http://other:1234", "SAM")
    for _ in range(2):
        studio.add_backend(URL, "double")
        studio.add_webhook(f"{URL}/webhook")
    foreign = studio.add_webhook("http://other:1234/webhook")
    connection = connect(studio)
    assert [row["url"] for row in studio.backends.values()] == ["http://other:1234", URL]
    assert [row["url"] for row in studio.webhooks.values()] == [f"{URL}/webhook", "http://other:1234/webhook"]
    assert (other in studio.backends, foreign in studio.webhooks) == (True, True)
    assert "asks only the first ML backend of a project, 'SAM'" in connection.notes[0]


def test_basic_auth_reaches_the_backend_and_the_webhook(studio):
    connect(studio, basic_auth=AUTH)
    assert only(studio.backends)["basic_auth_user"] == "ann"
    assert only(studio.webhooks)["headers"] == AUTH_HEADER


def test_basic_auth_that_was_switched_off_is_taken_back_and_other_headers_stay(studio):
    connect(studio, basic_auth=AUTH)
    only(studio.webhooks)["headers"]["X-Tenant"] = "a"
    connect(studio)
    assert only(studio.backends)["auth_method"] == "NONE"
    assert only(studio.webhooks)["headers"] == {"X-Tenant": "a"}


def test_a_webhook_that_was_switched_off_is_switched_on(studio):
    connect(studio)
    only(studio.webhooks).update(is_active=False, send_for_all_actions=False)
    assert connect(studio).changes == ("made the webhook send every event",)
    assert only(studio.webhooks)["is_active"] and only(studio.webhooks)["send_for_all_actions"]


@pytest.mark.parametrize("guard", ["closed", "half"])
def test_a_guard_that_refuses_is_named_with_its_switch_and_nothing_is_written(studio, guard):
    studio.guard = guard
    with pytest.raises(ConnectError, match=r"127\.0\.0\.0/8.*USE_DEFAULT_BANNED_SUBNETS=false"):
        connect(studio)
    assert not studio.backends and not studio.webhooks


def test_a_half_made_backend_is_removed(studio):
    studio.guard = "half at last"
    with pytest.raises(ConnectError, match="reserved network address"):
        connect(studio)
    assert not studio.backends


def test_a_half_made_backend_of_before_is_finished(studio):
    studio.add_backend(URL, VERSION)
    assert "added the missing webhook" in connect(studio).changes
    assert studio.project["model_version"] == VERSION


def test_a_name_that_label_studio_cannot_resolve(studio):
    with pytest.raises(ConnectError, match=r"unknown-host.*as the machine or container of Label Studio"):
        connect(studio, "http://unknown-host:9090")
    assert not studio.backends


def test_a_server_that_label_studio_does_not_reach(studio):
    studio.answering = ""
    with pytest.raises(ConnectError, match=r"does not accept http://prelabel:9090.*Can't connect"):
        connect(studio)
    assert not studio.backends


def test_two_servers_under_one_address_are_noticed(studio):
    studio.answering = OLDER
    assert OLDER in connect(studio).notes[0]


def test_a_project_that_does_not_exist(studio):
    with pytest.raises(LabelStudioError, match="No Project matches"):
        connect_project(studio.client(), 8, URL, VERSION)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://Host:80/", "http://host", True),
        ("https://host:443/a/", "https://host/a", True),
        ("http://host:9090", "http://host:9091", False),
        ("http://host", "https://host", False),
        ("http://host/a", "http://host/b", False),
    ],
)
def test_same_url(one, other, same):
    assert same_url(one, other) is same


def test_the_first_server_that_answers_is_found(server):
    assert find_server(["http://127.0.0.1:9", f"{server.url}/"]) == RunningServer(server.url, VERSION)


def test_no_server_is_reported_for_the_first_address():
    with pytest.raises(ServerAbsent, match=r"at http://127\.0\.0\.1:9: start it with `prelabel serve`"):
        find_server(["http://127.0.0.1:9", "http://127.0.0.1:10"])


@pytest.mark.parametrize("health", [b"<html>", {"status": "UP", "model_class": "NewModel"}, [1]])
def test_something_else_that_answers_is_not_prelabel(server, health):
    server.answers("/health", Answer(health))
    with pytest.raises(ServerAbsent, match="is not prelabel"):
        find_server([server.url])


def test_a_loading_model_is_waited_for(server):
    answers = iter([Answer({"error": "The model is still loading."}, 503), Answer({"versions": [VERSION]})])
    server.answers("/versions", lambda _: next(answers))
    assert served_version(RunningServer(server.url, None), patience=5) == VERSION


def test_a_model_that_does_not_load_is_reported_with_the_servers_words(server):
    server.answers("/versions", Answer({"error": "The model could not be loaded: no such file."}, 503))
    with pytest.raises(ServerNotReady, match="could not be loaded: no such file"):
        served_version(RunningServer(server.url, None))


def test_a_wrong_password_names_the_settings_and_not_the_password(server):
    server.answers("/versions", Answer({"error": "wrong"}, 401))
    with pytest.raises(ServerError, match="BASIC_AUTH_USER") as caught:
        served_version(RunningServer(server.url, VERSION), AUTH)
    assert AUTH[1] not in str(caught.value)
    assert server.asked("/versions")[0].token == AUTH_HEADER["Authorization"]


@pytest.fixture
def environment(studio, bare_environment, monkeypatch, tmp_path) -> None:
    """The command finds this Label Studio, and no weights."""
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_WEIGHTS", str(tmp_path / "none.safetensors"))
    monkeypatch.setenv("PORT", "9")


def test_the_command_says_what_it_did(studio, server, environment):
    result = CliRunner().invoke(app, ["connect", "--project", str(PROJECT), "--url", server.url])
    assert result.exit_code == 0, result.output
    assert f"connected to {VERSION} at {server.url}" in result.output
    assert "added the ML backend" in result.output
    assert only(studio.backends)["title"] == VERSION


def test_smart_tools_are_switched_on_and_what_they_lack_is_printed(studio, server, environment):
    first, second = (
        CliRunner().invoke(app, ["connect", "--project", str(PROJECT), "--url", server.url]) for _ in range(2)
    )
    assert only(studio.backends)["is_interactive"] is True
    assert "switched on Auto-Annotation" in first.output
    assert "nothing had to be changed" in second.output
    snippet = missing_tools(studio.project["label_config"])
    assert snippet.startswith("<KeyPointLabels ")
    assert all(f"  {line}" in second.output for line in snippet.splitlines())
    studio.project["label_config"] = CONFIG.replace("</View>", f"{snippet}</View>")
    third = CliRunner().invoke(app, ["connect", "--project", str(PROJECT), "--url", server.url])
    assert third.exit_code == 0 and "smart" not in third.output


def test_the_command_asks_this_machine_where_the_address_is_label_studios(
    studio, server, environment, monkeypatch
):
    monkeypatch.setenv("PORT", server.url.rpartition(":")[2])
    url = "http://127.0.0.1:9"
    result = CliRunner().invoke(app, ["connect", "--project", str(PROJECT), "--url", url])
    assert result.exit_code == 0, result.output
    assert only(studio.backends)["url"] == url


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--project", "7"], "No prelabel server answers at http://localhost:9"),
        (["--project", "8", "--url", "SERVER"], "No Project matches"),
    ],
)
def test_the_command_fails_in_one_sentence(studio, server, environment, arguments, message):
    arguments = [server.url if argument == "SERVER" else argument for argument in arguments]
    result = CliRunner().invoke(app, ["connect", *arguments])
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
