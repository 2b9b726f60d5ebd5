"""Requests to a server of this machine, by one client or by several at a time; each opens a connection."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from measuring.rounds import milliseconds

TIMEOUT = 600


class AnswerError(OSError):
    """The server answered, but not with a 2xx."""


def get(port: int, path: str) -> bytes:
    """The body at `path`. Raises OSError."""
    return _request(port, "GET", path, None)


def post(port: int, path: str, body: bytes) -> bytes:
    """The answer to a JSON body. Raises OSError."""
    return _request(port, "POST", path, body)


@dataclass(frozen=True)
class Load:
    """What several clients saw: milliseconds of every request, and seconds of all together."""

    milliseconds: list[float]
    seconds: float


def load(port: int, path: str, bodies: Sequence[bytes], clients: int) -> Load:
    """Send all bodies, `clients` of them at a time."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda body: milliseconds(lambda: post(port, path, body)), bodies))
    return Load(found, time.perf_counter() - started)


def _request(port: int, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status >= 300:
        raise AnswerError(f"{method} {path}: {response.status} {response.reason}")
    return content
