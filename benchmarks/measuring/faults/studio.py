"""A Label Studio for faults: it keeps predictions, has tasks that wait for labels, and can be away at any request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import CocoExamples
from fbnetv3.data.coco_files import read_data_set
from measuring.label_studio import PROJECT, Json, LabelledProject
from measuring.labelled import write_scenes
from prelabel.labelstudio.api.backends import RECORD

#: Tasks with accepted labels, as many as a training run needs, and tasks without.
LABELLED, WAITING = 12, 3
#: Of the scenes, px: the smallest that there are.
SIZE = (128, 160)
#: Seconds that a Label Studio which hangs keeps a caller waiting.
HANG = 2.0

#: How an outage shows; the first that is no answer at all, the others that are no right one.
KINDS = (
    "closes",
    "hangs",
    "half an answer",
    "answer lost",
    "500",
    "502 HTML",
    "HTML",
    "null",
    "a list",
    "an object",
)
ODD_ANSWERS = {
    "500": (500, b'{"detail": "database is locked"}'),
    "502 HTML": (502, b"<html><body>Bad Gateway</body></html>"),
    "HTML": (200, b"<!doctype html><title>Log in</title>"),
    "null": (200, b"null"),
    "a list": (200, b"[]"),
    "an object": (200, b"{}"),
}


@dataclass
class Outage:
    """Label Studio is away from request number `first` on for `length` requests, both counted from 1; `kind`: see
    KINDS. `requests`: how many there were."""

    kind: str = "500"
    first: int = 0
    length: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, kind: str, first: int, length: int) -> None:
        """Count from zero, with this outage."""
        self.kind, self.first, self.length, self.requests = kind, first, length, 0

    def end(self) -> None:
        """Label Studio is back; counts from zero."""
        self.begin(self.kind, 0, 0)

    def __call__(self, handler: BaseHTTPRequestHandler, answer: Callable[[], tuple[bytes, str]], /) -> bool:
        """See measuring.label_studio.Disturbance."""
        with self._lock:
            self.requests += 1
            if not self.first <= self.requests < self.first + self.length:
                return False
        self._strike(handler, answer)
        return True

    def _strike(self, handler: BaseHTTPRequestHandler, answer: Callable[[], tuple[bytes, str]]) -> None:
        handler.close_connection = True
        if self.kind == "hangs":
            time.sleep(HANG)
        elif self.kind == "answer lost":
            answer()
        elif self.kind == "half an answer":
            content, _ = answer()
            _send(handler, 200, content[: len(content) // 2], len(content))
        elif self.kind in ODD_ANSWERS:
            status, content = ODD_ANSWERS[self.kind]
            _send(handler, status, content, len(content))


def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes, length: int) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)


class Studio(LabelledProject):
    """The first LABELLED tasks have labels, the others wait. It is connected to a prelabel that is not asked."""

    def __init__(self, folder: Path) -> None:
        file, images = write_scenes(folder, LABELLED + WAITING, 0, size=SIZE)
        found = read_data_set(file, images)
        examples = CocoExamples(found.data, found.images, with_empty=True)
        super().__init__(examples, range(1, len(examples) + 1))
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """No predictions, no tabs, and no version shown."""
        self._ids = count(1)
        self.predictions: dict[int, Json] = {}
        self.tabs: dict[int, Json] = {}
        self.shown = ""
        self.backend: Json = {
            "id": 1,
            "project": PROJECT,
            "url": "http://127.0.0.1:9/",
            "title": "starter",
            "description": RECORD,
            "state": "CO",
            "readable_state": "Connected",
            "error_message": None,
            "model_version": "starter",
            "auth_method": "NONE",
            "basic_auth_user": "",
        }

    @property
    def waiting(self) -> list[int]:
        """The tasks without labels."""
        return list(self.task_ids[LABELLED:])

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        """See LabelledProject; predictions, the shown version and the backend's title can be changed."""
        with self._lock:
            for pattern, answer in _ROUTES.items():
                if found := re.fullmatch(pattern, f"{method} {path.rstrip('/')}"):
                    return answer(self, query, body, *map(int, found.groups()))
            return super().answer(method, path, query, body)

    def _project(self, *_: Any) -> Json:
        return super().answer("GET", f"/api/projects/{PROJECT}", {}, None) | {
            "model_version": self.shown,
            "show_collab_predictions": True,
            "sampling": "Sequential sampling",
            "num_tasks_with_annotations": LABELLED,
        }

    def _change_project(self, _: Any, body: Json, *__: Any) -> Json:
        self.shown = body.get("model_version", self.shown)
        return self._project()

    def _export(self, *_: Any) -> list[Json]:
        tasks: list[Json] = super().answer("GET", f"/api/projects/{PROJECT}/export", {}, None)
        return tasks[:LABELLED]

    def _tasks(self, query: Mapping[str, str], *_: Any) -> Json:
        size, page = int(query.get("page_size", 100)), int(query.get("page", 1))
        rows = [self._task({}, None, number) for number in self.task_ids]
        return {"tasks": rows[(page - 1) * size : page * size], "total": len(rows)}

    def _task(self, _: Any, __: Any, number: int) -> Json:
        own = self.of_task(number)
        return {
            "id": number,
            "inner_id": number,
            "data": {"image": f"{self.url}/images/{number - 1}"},
            "total_annotations": int(number <= LABELLED),
            "annotations": [{"parent_prediction": None}] if number <= LABELLED else [],
            "predictions": own,
            "predictions_model_versions": ",".join(dict.fromkeys(row["model_version"] for row in own)),
            "draft_exists": False,
        }

    def of_task(self, number: int) -> list[Json]:
        """The predictions of a task, oldest first."""
        return [row for row in self.predictions.values() if row["task"] == number]

    def _import(self, _: Any, body: list[Json], *__: Any) -> Json:
        for row in body:
            number = next(self._ids)
            self.predictions[number] = {"cluster": None, **row, "id": number}
        return {"created": len(body)}

    def _predictions(self, query: Mapping[str, str], *_: Any) -> list[Json]:
        return self.of_task(int(query["task"])) if "task" in query else list(self.predictions.values())

    def _change_prediction(self, _: Any, body: Json, number: int) -> Json:
        self.predictions[number] |= body
        return self.predictions[number]

    def _delete_prediction(self, _: Any, __: Any, number: int) -> None:
        self.predictions.pop(number, None)

    def _versions(self, *_: Any) -> Json:
        versions = [row["model_version"] for row in self.predictions.values()]
        return {version: versions.count(version) for version in versions}

    def _columns(self, *_: Any) -> Json:
        return {"columns": [{"id": "id", "target": "tasks", "visibility_defaults": {"explore": True}}]}

    def _tabs(self, *_: Any) -> list[Json]:
        return list(self.tabs.values())

    def _change_tab(self, _: Any, body: Json, number: int = 0) -> Json:
        number = number or next(self._ids)
        self.tabs[number] = {**body, "id": number}
        return self.tabs[number]

    def _backends(self, *_: Any) -> list[Json]:
        return [self.backend]

    def _change_backend(self, _: Any, body: Json, *__: Any) -> Json:
        self.backend |= body
        return self.backend


_ROUTES: dict[str, Callable[..., Any]] = {
    rf"GET /api/projects/{PROJECT}": Studio._project,
    rf"PATCH /api/projects/{PROJECT}": Studio._change_project,
    rf"GET /api/projects/{PROJECT}/export": Studio._export,
    rf"GET /api/projects/{PROJECT}/model-versions": Studio._versions,
    rf"POST /api/projects/{PROJECT}/import/predictions": Studio._import,
    "GET /api/tasks": Studio._tasks,
    r"GET /api/tasks/(\d+)": Studio._task,
    "GET /api/predictions": Studio._predictions,
    r"PATCH /api/predictions/(\d+)": Studio._change_prediction,
    r"DELETE /api/predictions/(\d+)": Studio._delete_prediction,
    "GET /api/dm/columns": Studio._columns,
    "GET /api/dm/views": Studio._tabs,
    "POST /api/dm/views": Studio._change_tab,
    r"PATCH /api/dm/views/(\d+)": Studio._change_tab,
    "GET /api/ml": Studio._backends,
    r"PATCH /api/ml/(\d+)": Studio._change_backend,
}
