"""The server's processes: gunicorn, and in every worker a model that is loaded after the fork."""

from __future__ import annotations

import logging
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from logging.config import dictConfig
from typing import TYPE_CHECKING, Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from prelabel import __version__
from prelabel.errors import PrelabelError
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.logs import logging_config
from prelabel.server.app import create_app
from prelabel.server.console_routes import HOME
from prelabel.server.model_holder import ModelHolder
from prelabel.server.project_models import ProjectModels
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.promotions import serving_names
from prelabel.store.provisional import is_provisional, provisional_versions
from prelabel.worker.keeper import WorkerKeeper
from prelabel.worker.wake_up import open_huey

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor

logger = logging.getLogger(__name__)

WORKER_TIMEOUT_SECONDS = 120
"""After which a worker that shows no life is replaced; long requests are no matter, a busy machine is."""

GRACEFUL_SECONDS = 30
"""For requests under way when the server is told to stop."""


class ListenError(PrelabelError):
    """The address cannot be listened on; the message is one sentence."""


class Server(BaseApplication):
    """gunicorn with everything said here and nothing read from files or the environment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeper = WorkerKeeper(settings) if settings.prelabel_worker else None
        super().__init__()

    def load_config(self) -> None:
        options = gunicorn_options(self._settings) | self._worker_hooks()
        for name, value in options.items():
            if name in self.cfg.settings:  # the control socket came with gunicorn 25.1
                self.cfg.set(name, value)

    def _worker_hooks(self) -> dict[str, Any]:
        """Start the worker with the server, and end it with it."""
        keeper = self._keeper
        if keeper is None:
            return {}
        return {
            "on_starting": lambda _: keeper.start(),
            "on_exit": lambda _: keeper.stop(),
        }

    def load(self) -> Flask:
        """Called in every worker, after the fork."""
        return serving_app(self._settings)


def serve(settings: Settings) -> None:
    """Serve until a signal ends it. Raises ListenError, StoreError, WakeUpError before anything is started."""
    dictConfig(logging_config(settings.log_level))
    check_address(settings.host, settings.port)
    _check_store(settings)
    open_huey(settings)
    Server(settings).run()


def _check_store(settings: Settings) -> None:
    """The tables are made once, before workers could race for it, and what every worker begins with is read."""
    database = Database.open(settings.database_url)
    serving_names(database)
    database.close()


def serving_app(settings: Settings) -> Flask:
    """The application of one worker, its models loading in the background."""
    database = Database.open(settings.database_url)
    features = PromptFeatures(settings.prelabel_prompt_cache_bytes)
    base = ThreadPoolExecutor(1, thread_name_prefix="base").submit(_load, settings, features)
    projects = ProjectModels(
        partial(_answering, settings, database, base),
        partial(_load_answering, settings, features, database, base),
        settings.prelabel_loaded_versions,
    )
    projects.follow()
    return create_app(settings, ModelHolder(base.result, projects), database)


def _answering(settings: Settings, database: Database, base: Future[Predictor]) -> dict[int, str]:
    """Project -> what answers for it in the place of the base weights: the version that serves it, else a provisional
    one on these weights."""
    serving = serving_names(database)
    if not settings.prelabel_provisional:
        return serving
    found = provisional_versions(database)
    if base.done() and not base.exception():
        version = base.result().version
        found = [one for one in found if one.base == version]
    return serving | {one.project_id: one.name for one in found}


def _load(settings: Settings, features: PromptFeatures) -> Predictor:
    """Imports torch and Label Studio's SDK: seconds that must not delay the first answer to /health."""
    from prelabel.versions.loading import base_predictor

    return base_predictor(settings, features)


def _load_answering(
    settings: Settings, features: PromptFeatures, database: Database, base: Future[Predictor], name: str
) -> Predictor:
    """What `_answering` names."""
    if not is_provisional(name):
        return _load_version(settings, features, database, name)
    from prelabel.versions.provisional import provisional_predictor

    return provisional_predictor(settings, database, name, base.result())


def _load_version(settings: Settings, features: PromptFeatures, database: Database, name: str) -> Predictor:
    from prelabel.versions.loading import version_predictor
    from prelabel.versions.records import named_version

    return version_predictor(settings, named_version(database, name), features)


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """gunicorn's settings by its own names."""
    return {
        "bind": f"{_bracketed(settings.host)}:{settings.port}",
        "worker_class": "gthread",
        "workers": settings.workers,
        "threads": settings.threads,
        "timeout": WORKER_TIMEOUT_SECONDS,
        "graceful_timeout": GRACEFUL_SECONDS,
        "accesslog": None,
        "logconfig_dict": logging_config(settings.log_level)
        | {"loggers": {"gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True}}},
        "proc_name": "prelabel",
        "control_socket_disable": True,
        "when_ready": lambda _: logger.info("%s", _greeting(settings)),
    }


def check_address(host: str, port: int) -> None:
    """Raises ListenError where no server could listen now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ListenError(
            f"port {port} of {host} cannot be listened on ({error.strerror}); change PORT or HOST"
        ) from error


def _greeting(settings: Settings) -> str:
    return (
        f"prelabel {__version__} listens on http://{_bracketed(settings.host)}:{settings.port}, "
        f"weights {settings.prelabel_weights!r} on {settings.device}; its pages are under {HOME}"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
