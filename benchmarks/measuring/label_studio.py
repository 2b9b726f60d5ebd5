"""A Label Studio with one project of accepted labels, as far as a training run asks it; it serves the images too."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import numpy as np

from fbnetv3.data.coco import CocoExamples
from fbnetv3.instances import Instances
from measuring.workload import BOXES, BRUSH, Workload
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.regions.predictions import to_regions

PROJECT = 1
TOKEN = "a-legacy-token"

Json = dict[str, Any]


class LabelledProject:
    """The labels of COCO images as a person's annotations of the tasks `task_ids`; their regions are brush strokes
    where the labels have masks, else rectangles."""

    def __init__(self, examples: CocoExamples, task_ids: Sequence[int]) -> None:
        self.kind = BRUSH if examples.has_masks else BOXES
        self.labels = examples.labels
        self.config = Workload([], examples.labels).config(self.kind)
        self.images = [examples.images / record["file_name"] for record, _ in examples.records]
        controls = LabelSpec.from_config(self.config, examples.labels, 0.0).controls_for("image")
        self.results = []
        for number in range(len(examples)):
            example = examples[number]
            ones = np.ones(len(example.boxes), np.float32)
            size = (example.image.shape[0], example.image.shape[1])
            instances = Instances(size, example.boxes, ones, example.classes, examples.labels, example.masks)
            self.results.append(to_regions(instances, controls))
        self.task_ids = task_ids
        self.url = ""

    def image_urls(self) -> list[str]:
        """Of the tasks, in their order."""
        return [f"{self.url}/images/{number}" for number in range(len(self.images))]

    def workload(self) -> Workload:
        """What /predict is asked for: these images under these labels."""
        return Workload(self.image_urls(), self.labels)

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        """To a request, as JSON; what a run does not ask for is empty, and nothing is changed."""
        if re.fullmatch(rf"/api/projects/{PROJECT}/?", path):
            return {
                "id": PROJECT,
                "title": "Benchmark",
                "label_config": self.config,
                "model_version": "",
                "task_number": len(self.images),
                "num_tasks_with_annotations": len(self.images),
                "ground_truth_number": 0,
            }
        if path == f"/api/projects/{PROJECT}/export":
            return [
                {"id": task, "data": {"image": url}, "annotations": [{"id": task, "result": result}]}
                for task, url, result in zip(self.task_ids, self.image_urls(), self.results, strict=True)
            ]
        if path == "/api/version":
            return {"release": "1.23.2"}
        return {"tasks": [], "total": 0} if path.startswith("/api/tasks") else []


class Disturbance(Protocol):
    """What comes between a request and its answer."""

    def __call__(self, handler: BaseHTTPRequestHandler, answer: Callable[[], tuple[bytes, str]], /) -> bool:
        """Whether it has dealt with the request; `answer` carries it out and gives content and type."""


@contextmanager
def label_studio(
    project: LabelledProject, disturb: Disturbance = lambda handler, answer: False
) -> Iterator[str]:
    """It runs, at the address that this gives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(project, disturb))
    server.daemon_threads = True
    project.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield project.url
    finally:
        server.shutdown()
        server.server_close()


def _handler(project: LabelledProject, disturb: Disturbance) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet per answer: two would wait 40 ms for each other

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = partial(self._answer, body)
            if not disturb(self, answer):
                self._send(*answer())

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def _answer(self, body: bytes) -> tuple[bytes, str]:
            parts = urlsplit(self.path)
            if found := re.fullmatch(r"/images/(\d+)", parts.path):
                return Path(project.images[int(found[1])]).read_bytes(), "image/jpeg"
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            value = project.answer(self.command, parts.path, query, json.loads(body or b"null"))
            return json.dumps(value).encode(), "application/json"

        def _send(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    return Handler
