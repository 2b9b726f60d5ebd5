"""A real HTTP server on the loopback interface that serves one file, and misbehaves as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ServedFile:
    """What the server has, how it answers, and what it was asked.

    `cuts`: after how many bytes of the body each next response ends too early. `failures`: statuses that the
    next requests get. `requests`: the `Range` header of each request so far.
    """

    content: bytes
    etag: str | None = '"v1"'
    ranges: bool = True
    location: str | None = None
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        self.requests.append(asked)
        if self.failures:
            return request.send_error(self.failures.pop(0))
        if self.location:
            return self._redirect(request)
        start = 0
        if asked and self.ranges and request.headers["If-Range"] == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self._send(request, start)

    def _redirect(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", str(self.location))
        request.end_headers()

    def _send(self, request: BaseHTTPRequestHandler, start: int) -> None:
        size = len(self.content)
        if start >= size:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{size}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if self.etag:
            request.send_header("ETag", self.etag)
        body = self.content[start:]
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@contextmanager
def serving(content: bytes) -> Iterator[ServedFile]:
    """Serve `content` for the duration of the context, at `url` of the file yielded."""
    served = ServedFile(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/d2go.pt"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
