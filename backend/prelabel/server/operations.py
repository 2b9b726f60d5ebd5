"""The routes for those who run the server: is it up, is it ready, what does it do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, redirect

from prelabel import __version__
from prelabel.server.console_routes import HOME, wants_pages
from prelabel.server.metrics import Metrics
from prelabel.server.model_holder import ModelHolder, ModelState

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse


def operations_routes(model: ModelHolder, metrics: Metrics) -> Blueprint:
    """The operators' routes for one app."""
    routes = Blueprint("operations", __name__)

    @routes.get("/")
    def home() -> AnyResponse:
        """People are led to the pages; Label Studio asks here, too, and gets what it expects."""
        return redirect(HOME) if wants_pages() else health()

    @routes.get("/health")
    def health() -> Response:
        return jsonify(
            status="UP",
            model_class="prelabel",
            version=__version__,
            state=model.state,
            model_version=model.version,
        )

    @routes.get("/ready")
    def ready() -> tuple[Response, int]:
        state = model.state
        return jsonify(state=state), 200 if state is ModelState.READY else 503

    @routes.get("/metrics")
    def figures() -> Response:
        return metrics.exposition()

    return routes
