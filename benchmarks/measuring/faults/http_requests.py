"""Odd requests to a real `prelabel serve`: each answer is JSON and no failure of the server's, and it stays in health.

The server has a home of its own, the starter weights and no Label Studio; images come inside the requests. Bodies are
made from those that Label Studio was recorded to send (tests/backend/captures).
"""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring.faults.configs import CONFIGS, picture_url
from measuring.faults.mutation import damaged, odd, written
from measuring.faults.trials import TIME_LIMIT, Broke, Outcome, dice_of
from measuring.processes import RunningServer, prelabel
from measuring.traffic import get

PART = "requests"
CAPTURES = Path(__file__).parents[3] / "tests" / "backend" / "captures"
#: Training draws from the first million.
FIRST_SCENE = 6_500_000
#: Requests between two looks at the server's health, and megabytes that it may grow by in all of them.
BLOCK = 100
GROWTH_MB = 600
ROUTES = ("/", "/health", "/ready", "/metrics", "/setup", "/predict", "/webhook", "/versions")
PROJECT_ROUTES = ("/api/projects/{}/runs", "/api/projects/{}/versions")
METHODS = ("GET", "POST", "POST", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
IDS = ("1", "0", "-1", "999999999999999999999", "1.5", "x", "%00", "..", "%C3%A9", "1/../2", "")
QUERIES = ("", "", "", "?project=1", "?project=1.1795218738", "?project=", "?project=%ff", "?" + "a=1&" * 500)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {},
    {},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Encoding": "gzip"},
    {"Accept": "text/html"},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Bearer " + "x" * 4000},
    {"X-Prelabel-Secret": "\u00e9"},
    {"Host": "elsewhere.example"},
    {"Cookie": "a=" + "b" * 3000},
)
#: Methods that are answered without a body, and routes that are answered in text.
BARE, TEXT = ("HEAD", "OPTIONS"), ("/metrics",)


@dataclass(frozen=True)
class _Request:
    """`group`: the route, or that there is none. `tasks`: how many results a good answer has, None for any."""

    group: str
    method: str
    content: bytes


def attempt(folder: Path, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
    """Each of these requests, in order."""
    bodies = _bodies()
    home = folder / "home"
    with prelabel(home, "starter", 1) as server:
        log = _Log(home / "log")
        at_first = server.resident_mb()
        for place, number in enumerate(numbers):
            request = _request(dice_of(seed, PART, number), bodies)
            fault, word = _fault(server, request, log)
            if fault is None and place % BLOCK == BLOCK - 1:
                fault = _ill(server, at_first)
            yield Outcome(
                number, request.group, word, fault, {"request.http": request.content} if fault else {}
            )


class _Log:
    """What a server has written, read on from where it was read last."""

    def __init__(self, file: Path) -> None:
        self._file = file.open(errors="replace")
        self._file.read()

    def traceback(self) -> str | None:
        """The end of what is new where it holds a traceback."""
        new = self._file.read()
        return new.strip().splitlines()[-1] if "Traceback" in new else None


def _fault(server: RunningServer, request: _Request, log: _Log) -> tuple[str | None, str]:
    """Why the server did not hold, or None; and its status."""
    try:
        status, content = _send(server.port, request)
        _check(request, status, content)
        fault = None
    except Broke as broke:
        status, fault = 0, str(broke)
    except (OSError, http.client.HTTPException) as error:
        status, fault = 0, f"no answer: {type(error).__name__} {error}"
    if line := log.traceback():
        fault = f"{fault or status}, and a traceback in the log: {line}"
    return fault, str(status)


def _send(port: int, request: _Request) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), TIME_LIMIT) as connection:
        connection.sendall(request.content)
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        return response.status, response.read()


def _check(request: _Request, status: int, content: bytes) -> None:
    if status >= 500 and status != 503:
        raise Broke(f"{request.group} was answered with {status}: {content[:200]!r}")
    if request.method in BARE or request.group in TEXT:
        return
    try:
        answer = json.loads(content)
    except ValueError:
        raise Broke(f"{status} without JSON: {content[:200]!r}") from None
    if status >= 400 and not (isinstance(answer, dict) and ("error" in answer or "state" in answer)):
        raise Broke(f"{status} without a sentence: {content[:200]!r}")


def _ill(server: RunningServer, at_first: float) -> str | None:
    """What is wrong with the server after a block."""
    try:
        get(server.port, "/health")
        grown = server.resident_mb() - at_first
    except OSError as error:
        return f"/health fails after this block: {error}"
    return f"the server has grown by {grown:.0f} MB" if grown > GROWTH_MB else None


def _request(dice: random.Random, bodies: Mapping[str, list[Any]]) -> _Request:
    """To a route or beside one."""
    route = dice.choice(
        (*ROUTES, *ROUTES, "/setup", "/predict", "/predict", "/predict", "/webhook", *PROJECT_ROUTES, None)
    )
    path = (
        dice.choice(("/nowhere", "/../../etc/passwd", "//health", "/%00", "/PREDICT"))
        if route is None
        else route
    )
    path = path.format(dice.choice(IDS)) + dice.choice(QUERIES)
    method = dice.choice(METHODS)
    content = _body(dice, bodies.get(route or "", [])) if method in ("POST", "PUT", "PATCH") else b""
    fields = {"Host": "127.0.0.1", "Content-Type": "application/json"} | dice.choice(HEADERS)
    fields |= {"Content-Length": str(len(content)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    line = f"{method} {path} HTTP/1.1\r\n{head}\r\n"
    return _Request(route or "no route", method, line.encode("latin-1", "replace") + content)


def _body(dice: random.Random, bodies: Sequence[Any]) -> bytes:
    what = dice.random()
    if not bodies or what < 0.05:
        return dice.choice((b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 20_000, dice.randbytes(200)))
    body = dice.choice(bodies)
    if what < 0.2:
        return damaged(dice, json.dumps(body).encode())
    return json.dumps(body).encode() if what < 0.25 else written(dice, odd(dice, body))


def _bodies() -> dict[str, list[Any]]:
    """Route -> what is sent to it, as recorded, and with images that can be had."""
    bodies: dict[str, list[Any]] = {route: [] for route in ("/setup", "/predict", "/webhook")}
    for file in sorted(CAPTURES.glob("*.json")):
        recorded = json.loads(file.read_text(encoding="utf-8"))
        bodies.setdefault(recorded["path"], []).append(recorded["json"])
    data = {"image": picture_url(FIRST_SCENE), "second": picture_url(FIRST_SCENE + 1)}
    task = {"id": 7, "data": data | {"photo": {"url": data["image"]}, "pages": [{"url": data["image"]}]}}
    for config in CONFIGS:
        body = {"tasks": [task, {**task, "id": 8}], "project": "1.1795218738", "label_config": config}
        bodies["/predict"].append(body | {"params": {"login": None, "password": None, "context": None}})
        bodies["/setup"].append(
            {"project": "1.1795218738", "schema": config, "hostname": "", "extra_params": None}
        )
    bodies["/predict"] += [_drawn(task, kind) for kind in ("rectanglelabels", "keypointlabels")]
    return bodies


def _drawn(task: dict[str, Any], kind: str) -> dict[str, Any]:
    """A smart tool's request."""
    names = {"rectanglelabels": ("rect", 0), "keypointlabels": ("k", 2)}
    name, config = names[kind]
    value = {"x": 20, "y": 20, "width": 40, "height": 50, "rotation": 0, kind: ["apple"]}
    place = {"original_width": 160, "original_height": 128, "image_rotation": 0}
    drawn = {
        "id": "a",
        "from_name": name,
        "to_name": "image",
        "type": kind,
        "value": value,
        "is_positive": True,
    }
    context = {"result": [{**drawn, **place}], "draft_id": 1}
    body = {"tasks": [task], "project": "1.1795218738", "label_config": CONFIGS[config]}
    return body | {"params": {"login": None, "password": None, "context": context}}
