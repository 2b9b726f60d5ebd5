"""A Label Studio with one project, in memory: its API as far as prelabel's commands use it, with its traps.

What it imitates was measured on 1.23: the end-to-end tests hold the commands against the real one. Faults are
switched on by setting attributes.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from prelabel.labelstudio.api.client import LabelStudioClient

PROJECT = 7
BANNED = "URL resolves to a reserved network address (block: 127.0.0.0/8)"
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="rect" toName="image"><Label value="Disc"/><Label value="Box"/></RectangleLabels>
</View>"""

Json = dict[str, Any]
Reply = tuple[int, Any]


@dataclass
class LabelStudioStandIn:
    """`guard`: open, closed, or half, which lets a backend be saved without its webhook. `answering`: what its own
    calls to backends come to, "" for no answer. `vanished`: tasks unknown to an import. `dropped`: tasks whose
    predictions an import leaves out in silence. `pushes_left`: imports until it answers 500.
    """

    url: str = ""
    project: Json = field(
        default_factory=lambda: {
            "id": PROJECT,
            "title": "Discs",
            "label_config": CONFIG,
            "model_version": "",
            "show_collab_predictions": True,
            "evaluate_predictions_automatically": False,
            "sampling": "Sequential sampling",
        }
    )
    tasks: dict[int, Json] = field(default_factory=dict)
    predictions: dict[int, Json] = field(default_factory=dict)
    backends: dict[int, Json] = field(default_factory=dict)
    webhooks: dict[int, Json] = field(default_factory=dict)
    views: dict[int, Json] = field(default_factory=dict)
    guard: str = "open"
    answering: str = "starter-aaaaaaaaaaaa"
    vanished: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    pushes_left: float = float("inf")
    refused: dict[str, int] = field(default_factory=dict)
    pushed: list[list[int]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def client(self) -> LabelStudioClient:
        """Asks this Label Studio."""
        return LabelStudioClient(self.url, "legacy-token")

    def add_tasks(self, *images: str, labelled: bool = False) -> list[int]:
        """Tasks with these images; their ids."""
        ids = [next(self._ids) for _ in images]
        for task_id, image in zip(ids, images, strict=True):
            self.tasks[task_id] = {"id": task_id, "data": {"image": image}, "draft_exists": False}
            self.tasks[task_id]["annotations"] = [{"parent_prediction": None}] if labelled else []
        return ids

    def add_prediction(self, task: int, model_version: str | None, score: float = 0.5) -> int:
        """An empty prediction of this version; its id."""
        number = next(self._ids)
        self.predictions[number] = {
            "id": number,
            "task": task,
            "model_version": model_version,
            "result": [],
            "score": score,
            "cluster": None,
        }
        return number

    def add_backend(self, url: str, title: str, **fields: Any) -> int:
        """An ML backend as somebody adds it by hand, without a webhook; its id."""
        number = next(self._ids)
        row = {"id": number, "project": PROJECT, "url": url, "title": title, "description": ""}
        self.backends[number] = row | {"auth_method": "NONE", "basic_auth_user": ""} | fields
        return number

    def add_webhook(self, url: str, **fields: Any) -> int:
        """A webhook; its id."""
        number = next(self._ids)
        row = {"id": number, "project": PROJECT, "url": url, "headers": {}, "is_active": True}
        self.webhooks[number] = row | {"send_for_all_actions": True, "send_payload": True} | fields
        return number

    def versions(self, task: int) -> list[str | None]:
        """The versions of a task's predictions, oldest first."""
        return [row["model_version"] for row in self.predictions.values() if row["task"] == task]

    def refuse(self, request: str, status: int) -> None:
        """Answer "<METHOD> <path>" with this status from now on."""
        self.refused[request] = status

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        """What a request is answered with."""
        self.requests.append(f"{method} {path}")
        if status := self.refused.get(f"{method} {path}"):
            return status, {"detail": "refused"}
        for pattern, handle in self._ROUTES.items():
            if match := re.fullmatch(pattern, f"{method} {path.rstrip('/')}"):
                if method != "GET":
                    self.writes.append(f"{method} {path}")
                return handle(self, query or body, *map(int, match.groups()))
        return 404, {"detail": "Not found."}

    def _get_version(self, _: Json) -> Reply:
        return 200, {"release": "1.23.2"}

    def _whoami(self, _: Json) -> Reply:
        return 200, {"email": "demo@example.com"}

    def _get_project(self, _: Json, number: int) -> Reply:
        if number != PROJECT:
            return 404, {"detail": "No Project matches the given query."}
        return 200, self.project | {"task_number": len(self.tasks)}

    def _patch_project(self, body: Json, _: int) -> Reply:
        known = {row["title"] for row in self.backends.values()} | {
            row["model_version"] for row in self.predictions.values()
        }
        if body.get("model_version", "") not in known | {""}:
            return 400, {
                "detail": "Model version doesn't exist either as live model or as static predictions."
            }
        self.project |= body
        return 200, self.project

    def _model_versions(self, _: Json, __: int) -> Reply:
        versions = [row["model_version"] for row in self.predictions.values()]
        return 200, {version: versions.count(version) for version in versions}

    def _list_tasks(self, query: Json) -> Reply:
        size, page = int(query["page_size"]), int(query.get("page", 1))
        rows = [self._row(task) for task in self.tasks.values()]
        if "total_predictions" in query.get("query", ""):
            rows = [row for row in rows if row["predictions_model_versions"]]
        rows = [row for row in rows if all(_holds(one, row) for one in _filters(query))]
        if "view" in query:
            rows = self._in_tab(rows)
        return 200, {"tasks": rows[(page - 1) * size : page * size], "total": len(rows)}

    def _in_tab(self, rows: list[Json]) -> list[Json]:
        """As a tab shows them that has unlabelled tasks only, the lowest score first."""
        waiting = [row for row in rows if not row["total_annotations"]]
        return sorted(waiting, key=lambda row: (row["predictions_score"] is None, row["predictions_score"]))

    def _score(self, task: int) -> float | None:
        """The mean of the task's predictions of the shown version."""
        own = [row for row in self.predictions.values() if row["task"] == task]
        scores = [row["score"] for row in own if row["model_version"] == self.project["model_version"]]
        return sum(scores) / len(scores) if scores else None

    def _row(self, task: Json) -> Json:
        versions = dict.fromkeys(filter(None, self.versions(task["id"])))
        return {
            "id": task["id"],
            "inner_id": list(self.tasks).index(task["id"]) + 1,
            "data": task["data"],
            "total_annotations": len(task["annotations"]),
            "predictions_model_versions": ",".join(versions)[:500],
            "predictions_score": self._score(task["id"]),
        }

    def _export(self, _: Json, __: int) -> Reply:
        made = [(row["task"], row["id"]) for row in self.predictions.values()]
        return 200, [
            task | {"predictions": [number for of, number in made if of == task["id"]]}
            for task in self.tasks.values()
            if task["annotations"]
        ]

    def _get_task(self, _: Json, number: int) -> Reply:
        if number not in self.tasks:
            return 404, {"detail": "Not found."}
        own = [row for row in self.predictions.values() if row["task"] == number]
        return 200, self.tasks[number] | {"predictions": own}

    def _import(self, body: list[Json], _: int) -> Reply:
        if self.pushes_left <= 0:
            return 500, {"detail": "database is locked"}
        self.pushes_left -= 1
        if any(row["task"] in self.vanished for row in body):
            return 400, {"detail": "Validation error", "validation_errors": ['contains invalid "task" field']}
        if "<Repeater" in self.project["label_config"]:
            return 201, {"created": 0}  # the names of the pages' tags are not in the config
        stored = [row for row in body if row["task"] not in self.dropped]
        for row in stored:
            self.predictions[self.add_prediction(row["task"], None)] |= row | {"cluster": None}
        self.pushed.append([row["task"] for row in stored])
        return 201, {"created": len(stored)}

    def _post_prediction(self, body: Json) -> Reply:
        if body["task"] in self.vanished:
            return 400, {"task": [f'Invalid pk "{body["task"]}" - object does not exist.']}
        number = self.add_prediction(body["task"], None)
        self.predictions[number] |= body
        self.pushed.append([body["task"]])
        return 201, self.predictions[number]

    def _list_predictions(self, query: Json) -> Reply:
        rows = list(self.predictions.values())
        return 200, [row for row in rows if str(row["task"]) == query["task"]] if "task" in query else rows

    def _get_prediction(self, _: Json, number: int) -> Reply:
        return (
            (200, self.predictions[number]) if number in self.predictions else (404, {"detail": "Not found."})
        )

    def _patch_prediction(self, body: Json, number: int) -> Reply:
        if number not in self.predictions:
            return 404, {"detail": "Not found."}
        self.predictions[number] |= body
        return 200, self.predictions[number]

    def _delete_prediction(self, _: Json, number: int) -> Reply:
        return (204, "") if self.predictions.pop(number, None) else (404, {"detail": "Not found."})

    def _list_backends(self, _: Json) -> Reply:
        return 200, [self._seen(row) for row in self.backends.values()]

    def _seen(self, row: Json) -> Json:
        state = "CO" if self.answering else "DI"
        names = {"CO": "Connected", "DI": "Disconnected"}
        return row | {
            "state": state,
            "readable_state": names[state],
            "error_message": None,
            "model_version": self.answering,
        }

    def _add_backend(self, body: Json) -> Reply:
        if self.guard == "closed":
            return 403, {"detail": BANNED}
        if "unknown-host" in body["url"]:
            return 500, {"detail": "Can't resolve hostname unknown-host"}
        if body["project"] != PROJECT:
            return 400, {"detail": "Validation error", "validation_errors": {"project": ["Invalid pk"]}}
        if not self.answering:
            return 400, {
                "detail": "Validation error",
                "validation_errors": {"non_field_errors": ["Can't connect"]},
            }
        number = self.add_backend(body["url"], body["title"], **_auth(body))
        if self.guard == "half at last":
            return 403, {"detail": BANNED}
        self.add_webhook(body["url"].rstrip("/") + "/webhook")
        self.project["model_version"] = self.project["model_version"] or body["title"]
        return 201, self._seen(self.backends[number])

    def _patch_backend(self, body: Json, number: int) -> Reply:
        row = self.backends[number]
        if row["title"] == self.project["model_version"]:
            self.project["model_version"] = body.get("title", row["title"])
        row |= {name: value for name, value in body.items() if name != "basic_auth_pass"}
        return 200, self._seen(row)

    def _delete_backend(self, _: Json, number: int) -> Reply:
        """Its webhook stays, and so do its predictions."""
        if self.backends.pop(number)["title"] == self.project["model_version"]:
            self.project["model_version"] = ""
        return 204, ""

    def _list_webhooks(self, _: Json) -> Reply:
        return 200, list(self.webhooks.values())

    def _post_webhook(self, body: Json) -> Reply:
        if self.guard in ("closed", "half"):
            return 403, {"detail": BANNED}
        if body.get("actions"):
            return 400, {
                "detail": "Validation error",
                "validation_errors": {"actions": ["not a valid choice"]},
            }
        return 201, self.webhooks[self.add_webhook(body["url"], headers=body.get("headers", {}))]

    def _patch_webhook(self, body: Json, number: int) -> Reply:
        self.webhooks[number] |= body
        return 200, self.webhooks[number]

    def _delete_webhook(self, _: Json, number: int) -> Reply:
        del self.webhooks[number]
        return 204, ""

    def _list_views(self, _: Json) -> Reply:
        return 200, list(self.views.values())

    def _post_view(self, body: Json) -> Reply:
        number = next(self._ids)
        self.views[number] = body | {"id": number}
        return 201, self.views[number]

    def _patch_view(self, body: Json, number: int) -> Reply:
        self.views[number] |= body
        return 200, self.views[number]

    def _columns(self, _: Json) -> Reply:
        shown, hidden = {"explore": True, "labeling": True}, {"explore": False, "labeling": False}
        of_tasks = [("id", shown), ("predictions_score", hidden), ("created_at", hidden)]
        columns = [{"id": name, "target": "tasks", "visibility_defaults": modes} for name, modes in of_tasks]
        return 200, {"columns": [*columns, {"id": "image", "target": "tasks", "parent": "data"}]}

    _ROUTES: ClassVar[dict[str, Callable[..., Reply]]] = {
        "GET /api/version": _get_version,
        "GET /api/current-user/whoami": _whoami,
        r"GET /api/projects/(\d+)": _get_project,
        r"PATCH /api/projects/(\d+)": _patch_project,
        r"GET /api/projects/(\d+)/model-versions": _model_versions,
        r"POST /api/projects/(\d+)/import/predictions": _import,
        r"GET /api/projects/(\d+)/export": _export,
        "GET /api/tasks": _list_tasks,
        r"GET /api/tasks/(\d+)": _get_task,
        "GET /api/predictions": _list_predictions,
        "POST /api/predictions": _post_prediction,
        r"GET /api/predictions/(\d+)": _get_prediction,
        r"PATCH /api/predictions/(\d+)": _patch_prediction,
        r"DELETE /api/predictions/(\d+)": _delete_prediction,
        "GET /api/dm/columns": _columns,
        "GET /api/dm/views": _list_views,
        "POST /api/dm/views": _post_view,
        r"PATCH /api/dm/views/(\d+)": _patch_view,
        "GET /api/ml": _list_backends,
        "POST /api/ml": _add_backend,
        r"PATCH /api/ml/(\d+)": _patch_backend,
        r"DELETE /api/ml/(\d+)": _delete_backend,
        "GET /api/webhooks": _list_webhooks,
        "POST /api/webhooks": _post_webhook,
        r"PATCH /api/webhooks/(\d+)": _patch_webhook,
        r"DELETE /api/webhooks/(\d+)": _delete_webhook,
    }


@contextmanager
def label_studio_stand_in() -> Iterator[LabelStudioStandIn]:
    """A running one, stopped at the end."""
    state = LabelStudioStandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _filters(query: Json) -> list[Json]:
    """Those of a Data Manager's query that compare a number of the task."""
    items = json.loads(query.get("query") or "{}").get("filters", {}).get("items", [])
    return [one for one in items if one["filter"] in ("filter:tasks:id", "filter:tasks:total_annotations")]


def _holds(one: Json, row: Json) -> bool:
    value = row[one["filter"].rpartition(":")[2]]
    return {"greater": value > one["value"], "less": value < one["value"], "equal": value == one["value"]}[
        one["operator"]
    ]


def _auth(body: Json) -> Json:
    return {name: body[name] for name in ("auth_method", "basic_auth_user") if name in body}


def _handler(state: LabelStudioStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet per answer: two would wait 40 ms for each other

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            status, value = state.answer(self.command, parts.path, query, body)
            content = (
                value if isinstance(value, bytes) else json.dumps(value).encode() if value != "" else b""
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    return Handler
