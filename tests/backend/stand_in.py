"""A web server on loopback that stands in for Label Studio, for cloud storage and for strangers.

Routes are functions from the request to an Answer; every request is kept: a test sees who got the token.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Answer:
    """`chunk_pause`: seconds before every byte, for a server that is slow without ever being silent."""

    body: bytes | dict[str, Any] | list[Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunk_pause: float = 0.0
    with_length: bool = True


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes

    @property
    def token(self) -> str | None:
        return self.headers["Authorization"]


Route = Callable[[Request], Answer]


class StandIn:
    """`routes`: path -> function; `requests`: what arrived so far."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        self.routes: dict[str, Route] = {}
        self.requests: list[Request] = []

    def answers(self, path: str, answer: Answer | Route) -> None:
        """What a path answers from now on."""
        self.routes[path] = answer if callable(answer) else lambda _: answer

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


@contextmanager
def stand_in(tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    """A running server, stopped at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    state = StandIn(server.server_port, "https" if tls else "http")
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.RequestHandlerClass = _handler(state)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _handler(state: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, parts.path, query, self.headers, body)
            state.requests.append(request)
            route = state.routes.get(parts.path, lambda _: Answer({"detail": "Not found."}, 404))
            self._write(route(request))

        def _write(self, answer: Answer) -> None:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.with_length and "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(body)))
            self.close_connection = not answer.with_length or "Content-Length" in answer.headers
            self.end_headers()
            try:
                for byte in [body] if not answer.chunk_pause else [body[i : i + 1] for i in range(len(body))]:
                    time.sleep(answer.chunk_pause)
                    self.wfile.write(byte)
            except ConnectionError:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    return Handler


def jwt(**claims: Any) -> str:
    """A token with these claims and a signature that nobody checks."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "unsigned"])
