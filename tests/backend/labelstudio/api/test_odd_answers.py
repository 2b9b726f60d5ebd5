"""Label Studio answers something else than it does: one sentence comes of it, whoever asked, and no error of Python's.

Each request of each piece of work is answered with odd things, and with its true answer in which one value is odd.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from stand_in import Answer, Request, StandIn, jwt, stand_in
from studio_work import TOKEN, Work

from fbnetv3.data.snapshot import SnapshotError
from prelabel.labels.accepted import accepted_tasks
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelConfigError, LabelStudioError
from prelabel.publish.annotate import AnnotateError
from prelabel.queue.listing import QueueError

ODD: list[Any] = [
    None,
    True,
    3,
    -1.5,
    "x",
    [],
    {},
    [None],
    [[]],
    [3],
    ["x"],
    [{}],
    {"x": None},
    {"tasks": None, "total": 1},
    {"tasks": [None], "total": 1},
    {"tasks": [{}], "total": None},
    {"results": None},
    {"columns": [None]},
    {"task_ids": None},
    {"created": "all"},
    {"detail": None},
]
"""JSON that is no answer of any method, or not always."""

RAW = {
    "empty": b"",
    "HTML": b"<!doctype html><html><body>Please log in</body></html>",
    "cut off": b'{"id": 7, "title": "Dis',
    "no UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "two": b"{}{}",
}

SENTENCES = (LabelStudioError, LabelConfigError, AnnotateError, SnapshotError, QueueError)
"""What commands and runs print as they are."""

CALLS: dict[str, Callable[[LabelStudioClient], Any]] = {
    "whoami": lambda client: client.whoami(),
    "project": lambda client: client.project(7),
    "projects": lambda client: client.projects(10),
    "create_project": lambda client: client.create_project("Discs", "<View/>"),
    "update_project": lambda client: client.update_project(7, title="Discs"),
    "delete_project": lambda client: client.delete_project(7),
    "import_files": lambda client: client.import_files(7, [Path(__file__)]),
    "tasks": lambda client: list(client.tasks(7)),
    "task_rows": lambda client: list(client.tasks(7, with_results=False)),
    "count_tasks": lambda client: client.count_tasks(7, "{}"),
    "task": lambda client: client.task(1),
    "update_task": lambda client: client.update_task(1, {}),
    "export": lambda client: client.export(7),
    "ml_backends": lambda client: client.ml_backends(7),
    "add_ml_backend": lambda client: client.add_ml_backend(7, "http://b", "v"),
    "update_ml_backend": lambda client: client.update_ml_backend({"id": 1, "project": 7, "url": "http://b"}),
    "delete_ml_backend": lambda client: client.delete_ml_backend(1),
    "webhooks": lambda client: client.webhooks(7),
    "add_webhook": lambda client: client.add_webhook(7, "http://b/webhook", {}),
    "update_webhook": lambda client: client.update_webhook(1, headers={}),
    "delete_webhook": lambda client: client.delete_webhook(1),
    "predictions": lambda client: client.predictions(7),
    "prediction": lambda client: client.prediction(1),
    "prediction_counts": lambda client: client.prediction_counts(7),
    "task_predictions": lambda client: client.task_predictions(1),
    "add_prediction": lambda client: client.add_prediction({"task": 1, "result": []}),
    "import_predictions": lambda client: client.import_predictions(7, [{"task": 1, "result": []}]),
    "update_prediction": lambda client: client.update_prediction(1, score=0.5),
    "delete_prediction": lambda client: client.delete_prediction(1),
    "columns": lambda client: client.columns(7),
    "views": lambda client: client.views(7),
    "add_view": lambda client: client.add_view(7, {}),
    "update_view": lambda client: client.update_view(1, 7, {}),
}


class Everywhere(dict[str, Any]):
    """Routes of a server that answers every path alike."""

    answer = Answer()

    def get(self, path: str, default: Any = None) -> Callable[[Request], Answer]:
        return lambda _: self.answer


@pytest.fixture(scope="module")
def anything() -> Iterator[StandIn]:
    """A server whose one answer a test sets."""
    with stand_in() as server:
        server.routes = Everywhere()
        yield server


def ask(server: StandIn, call: Callable[[LabelStudioClient], Any], answer: Answer) -> str | None:
    """The sentence that comes of it, None where the answer is taken."""
    assert isinstance(server.routes, Everywhere)
    server.routes.answer = answer
    try:
        call(LabelStudioClient(server.url, TOKEN, timeout=5))
    except LabelStudioError as error:
        assert "\n" not in str(error) and "Traceback" not in str(error)
        return str(error)
    return None


def test_every_method_is_asked() -> None:
    inherited = {"json", "request", "send", "refusal", "delete", "token_kind"}
    methods = {name for name in dir(LabelStudioClient) if not name.startswith("_")} - inherited
    assert methods == set(CALLS) - {"task_rows"}


@pytest.mark.parametrize("name", CALLS)
def test_odd_json_is_taken_or_one_sentence(anything: StandIn, name: str) -> None:
    for value in ODD:
        ask(anything, CALLS[name], Answer(json.dumps(value).encode()))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("body", RAW)
def test_what_is_no_json_is_one_sentence(anything: StandIn, name: str, body: str) -> None:
    said = ask(anything, CALLS[name], Answer(RAW[body]))
    if not (name.startswith("delete_") and body == "empty"):
        assert said and "with JSON: is that the address of Label Studio?" in said


@pytest.mark.parametrize("name", CALLS)
def test_null_is_no_answer_to_any_method(anything: StandIn, name: str) -> None:
    said = ask(anything, CALLS[name], Answer(b"null"))
    if not name.startswith("delete_"):
        assert said and said.startswith("Label Studio answered ") and " with null instead of " in said


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/user/login/?next=/secret", "to the login page {url}/user/login/: a proxy before it"),
        (
            "https://sso.example.com/oauth2/start?x=secret",
            "to the login page https://sso.example.com/oauth2/start:",
        ),
        (
            "https://elsewhere.example.com/api",
            "redirects to https://elsewhere.example.com: set the URL to that.",
        ),
        ("/moved/?secret", "redirects GET /api/projects/7/ to /moved/: is that the address"),
        ("http://[nonsense?secret", "to 'http://[nonsense', which is no address."),
        ("", "redirects"),
    ],
)
def test_redirections_are_told_without_their_query(anything: StandIn, location: str, said: str) -> None:
    told = ask(anything, CALLS["project"], Answer(status=302, headers={"Location": location}))
    assert told and said.format(url=anything.url) in told
    assert "secret" not in told


@pytest.mark.parametrize("name", ["project", "export", "delete_prediction"])
def test_an_answer_that_breaks_off_is_one_sentence(anything: StandIn, name: str) -> None:
    said = ask(anything, CALLS[name], Answer(b'{"id": 7', headers={"Content-Length": "900"}))
    assert said and "broke off its answer to " in said


@pytest.mark.parametrize("value", [None, 3, "", "a b", "ü", ["x"], {"x": 1}, "a\nb"])
def test_an_access_token_that_is_none_is_one_sentence(anything: StandIn, value: Any) -> None:
    assert isinstance(anything.routes, Everywhere)
    anything.routes.answer = Answer({"access": value})
    with pytest.raises(LabelStudioError, match="not as Label Studio does"):
        LabelStudioClient(anything.url, jwt(token_type="refresh")).whoami()


def test_the_place_of_what_is_odd_is_named(anything: StandIn) -> None:
    task = {"id": 1, "data": {}, "annotations": [{"id": 4, "result": "x"}]}
    assert ask(anything, CALLS["export"], Answer([task])) == (
        "Label Studio answered GET /api/projects/7/export with a text instead of a list or null at "
        "[0].annotations[0].result: see its log, and what stands before it at LABEL_STUDIO_URL"
    )
    assert ask(anything, lambda client: client.project(7)["title"], Answer({"id": 7})) == (
        "Label Studio answered GET /api/projects/7/ with a project without 'title': see its log, and what stands "
        "before it at LABEL_STUDIO_URL"
    )


PIECES = [name for name in vars(Work) if not name.startswith("_") and name not in ("client", "project")]


class Tampering:
    """Answers one request, counted from 0, with something else; `seen`: the requests and their true answers."""

    def __init__(self, studio: LabelStudioStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        self._studio = studio
        self._true = studio.answer
        self._clean = copy.deepcopy(vars(studio))
        self.seen: list[tuple[str, Any]] = []
        self._place, self._other = -1, None
        monkeypatch.setattr(studio, "answer", self._answer)

    def run(self, work: Callable[[], None], place: int = -1, other: Any = None) -> str | None:
        """The sentence that comes of the work where the answer at this place is another one."""
        for name in ("project", "tasks", "predictions", "backends", "webhooks", "views"):
            setattr(self._studio, name, copy.deepcopy(self._clean[name]))
        self.seen, self._place, self._other = [], place, other
        try:
            work()
        except SENTENCES as error:
            assert "\n" not in str(error)
            return str(error)
        return None

    def places(self) -> dict[int, Any]:
        """Where each kind of request is asked first and last -> its true answer."""
        names = [name for name, _ in self.seen]
        ends = {names.index(name) for name in names} | {
            len(names) - 1 - names[::-1].index(name) for name in names
        }
        return {place: self.seen[place][1] for place in sorted(ends)}

    def _answer(self, method: str, path: str, *more: Any) -> tuple[int, Any]:
        status, value = self._true(method, path, *more)
        self.seen.append((f"{method} {path}", value))
        return (200, self._other) if len(self.seen) == self._place + 1 else (status, value)


def variants(value: Any) -> Iterator[Any]:
    """The value with one thing in it replaced or missing, for each thing; of lists the first item."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))[:1]
    for key, item in items:
        for other in (None, [], {}, "x", 3):
            yield copy.copy(value) | {key: other} if isinstance(value, dict) else [other, *value[1:]]
        if isinstance(value, dict):
            yield {name: one for name, one in value.items() if name != key}
        if isinstance(item, dict | list):
            for changed in variants(item):
                yield value | {key: changed} if isinstance(value, dict) else [changed, *value[1:]]


@pytest.mark.parametrize("piece", PIECES)
def test_odd_answers_in_the_middle_of_work(work: Work, monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    tampering, do = Tampering(work.studio, monkeypatch), getattr(work, piece)
    assert tampering.run(do) is None
    for place in tampering.places():
        for other in (*ODD, *RAW.values()):
            tampering.run(do, place, other)


@pytest.mark.parametrize("piece", PIECES)
def test_one_odd_value_in_an_answer(work: Work, monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    tampering, do = Tampering(work.studio, monkeypatch), getattr(work, piece)
    assert tampering.run(do) is None
    for place, true in tampering.places().items():
        if isinstance(true, dict | list):
            for other in variants(true):
                tampering.run(do, place, other)


def test_an_annotation_without_a_result_is_no_label(work: Work) -> None:
    first = next(task for task in work.studio.tasks.values() if task["annotations"])
    first["annotations"].append(first["annotations"][0] | {"id": 999, "result": None})
    assert all(task.annotation_id != 999 for task in accepted_tasks(work.client, PROJECT))
    first["annotations"] = first["annotations"][1:]
    assert len(accepted_tasks(work.client, PROJECT)) == 2
