"""The console's addresses: led to its own application, which is imported with the first page that somebody opens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, redirect, request

from prelabel.server.errors import NotReady
from prelabel.server.model_holder import ModelHolder
from prelabel.settings import Settings
from prelabel.store.database import Database

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

PREDICT_PATIENCE = 5.0
"""Seconds that a page waits for a version that is loading."""

RESERVED = 3
"""Threads of a process that pages never take: they are for Label Studio."""

TURN_SECONDS = 2.0

HOME = "/console/"


def console_routes(settings: Settings, model: ModelHolder, database: Database) -> Blueprint:
    """The routes for one app."""
    routes = Blueprint("console", __name__)
    console = _Lazily(lambda: _create(settings, model, database))
    turns = threading.BoundedSemaphore(max(settings.threads - RESERVED, 1))

    @routes.get("/console/", defaults={"rest": ""})
    @routes.route("/console/<path:rest>", methods=["GET", "POST"])
    def page(rest: str) -> AnyResponse:
        if not turns.acquire(timeout=TURN_SECONDS):
            raise NotReady("The console is busy; the page goes on in a moment.")
        try:
            return Response.from_app(console, request.environ, buffered=True)
        finally:
            turns.release()

    @routes.get("/console")
    def without_slash() -> AnyResponse:
        return redirect(HOME)

    return routes


def wants_pages() -> bool:
    """Whether this request comes from a browser's address bar or a link, and not from Label Studio's health check."""
    return request.accept_mimetypes.quality("text/html") > request.accept_mimetypes.quality(
        "application/json"
    )


def _create(settings: Settings, model: ModelHolder, database: Database) -> Flask:
    from prelabel.console.app import create_console
    from prelabel.console.context import Context

    return create_console(
        Context(settings, database, lambda project: model.predictor(PREDICT_PATIENCE, project))
    )


class _Lazily:
    """A WSGI application that is made when it is called first."""

    def __init__(self, make: Callable[[], Flask]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._app: Flask | None = None

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        with self._lock:
            if self._app is None:
                self._app = self._make()
        return self._app(environ, start_response)
