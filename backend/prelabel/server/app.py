"""The Flask application: routes, authentication, errors and metrics put together."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import IntegerConverter, Map

from prelabel.ids import LARGEST_ID
from prelabel.server.auth import basic_auth_guard
from prelabel.server.console_routes import console_routes
from prelabel.server.errors import register_error_handlers
from prelabel.server.metrics import Metrics
from prelabel.server.ml_backend import ml_backend_routes
from prelabel.server.model_holder import ModelHolder, ModelState
from prelabel.server.operations import operations_routes
from prelabel.server.project_routes import project_routes
from prelabel.server.webhooks import webhook_routes
from prelabel.settings import Settings
from prelabel.store.database import Database

MAX_BODY_BYTES = 256 << 20
"""Label Studio sends old predictions inside tasks: 1,000 tasks are 11 MB with boxes, far more with masks."""


class ProjectId(IntegerConverter):
    """`<int:...>` of the routes, in which every number is the id of a project: one that none can be is no route,
    rather than an error of the database.
    """

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_ID)


def create_app(settings: Settings, model: ModelHolder, database: Database) -> Flask:
    """The server as a WSGI application."""
    app = Flask("prelabel", static_folder=None)
    app.url_map.converters["int"] = ProjectId
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    metrics = Metrics(lambda: model.state is ModelState.READY, settings.image_cache_path)
    metrics.watch(app)
    if settings.basic_auth_user is not None and settings.basic_auth_pass is not None:
        guard = basic_auth_guard(settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
        app.before_request(guard)
    register_error_handlers(app)
    app.register_blueprint(operations_routes(model, metrics))
    app.register_blueprint(ml_backend_routes(model, database, metrics))
    app.register_blueprint(webhook_routes(settings, database))
    app.register_blueprint(project_routes(database))
    app.register_blueprint(console_routes(settings, model, database))
    return app
