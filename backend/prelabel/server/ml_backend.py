"""The routes that Label Studio calls: its ML-backend contract."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from prelabel.inference.outcomes import TaskOutcome
from prelabel.server.errors import NothingSeen
from prelabel.server.metrics import Metrics
from prelabel.server.model_holder import ModelHolder
from prelabel.server.wire import PredictRequest, SetupRequest, project_id_of
from prelabel.store.database import Database
from prelabel.store.label_counts import note_project
from prelabel.store.provisional import is_provisional

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor
    from prelabel.inference.prompting import Prompter

logger = logging.getLogger(__name__)

SETUP_PATIENCE = 2.0
"""Seconds to wait for a loading model where Label Studio waits 3: /setup, /versions and smart tools."""

PREDICT_PATIENCE = 60.0
"""Seconds that /predict waits for a loading model: Label Studio gives up after 100."""

LOGGED_CONFIGS = 256
"""Configs whose label map was logged: Label Studio calls /setup with every page that somebody opens."""


def ml_backend_routes(model: ModelHolder, database: Database, metrics: Metrics) -> Blueprint:
    """The contract's routes for one app."""
    routes = Blueprint("ml_backend", __name__)
    log_label_map = lru_cache(maxsize=LOGGED_CONFIGS)(_log_label_map)
    know = lru_cache(maxsize=None)(partial(note_project, database))
    prompter = lru_cache(maxsize=1)(_prompter)

    @routes.post("/setup")
    def setup() -> Response:
        wanted = SetupRequest.parse(request.get_data())
        if wanted.project_id is not None:
            know(wanted.project_id)
        predictor = model.predictor(SETUP_PATIENCE, wanted.project_id)
        if not is_provisional(predictor.version):  # there is another one with every label
            log_label_map(predictor, wanted.project_id, wanted.label_config)
        return jsonify(model_version=predictor.version)

    @routes.post("/predict")
    def predict() -> Response:
        wanted = PredictRequest.parse(request.get_data())
        patience = SETUP_PATIENCE if wanted.is_interactive else PREDICT_PATIENCE
        predictor = model.predictor(patience, wanted.project_id)
        if wanted.is_interactive:
            with metrics.prompt_seconds.time():
                return jsonify(results=_prompt(prompter(), predictor, wanted))
        with metrics.predict_seconds.time():
            return jsonify(results=_predict(predictor, wanted, metrics))

    @routes.get("/versions")
    def versions() -> Response:
        project_id = project_id_of(request.args.get("project"))  # Label Studio does not send it
        return jsonify(versions=[model.predictor(SETUP_PATIENCE, project_id).version])

    return routes


def _predict(predictor: Predictor, wanted: PredictRequest, metrics: Metrics) -> list[dict[str, Any]]:
    started = time.monotonic()
    outcomes = predictor.predict(
        wanted.tasks, wanted.label_config, wanted.project_id, abandoned=_connection_watch()
    )
    metrics.count_outcomes(outcomes)
    logger.info(
        "project %s: %d tasks in %.1f s, %d regions, %d with failures",
        wanted.project_id,
        len(outcomes),
        time.monotonic() - started,
        sum(len(outcome.prediction["result"]) for outcome in outcomes),
        sum(bool(outcome.failures) for outcome in outcomes),
    )
    if outcomes and all(outcome.is_blind for outcome in outcomes):
        raise NothingSeen(f"No image could be looked at: {outcomes[0].why}")
    return [_answer(outcome) for outcome in outcomes]


def _answer(outcome: TaskOutcome) -> dict[str, Any]:
    """The prediction; one that nobody may store as an item without `result`, which Label Studio drops by itself: it
    writes the item into its log, keeps the others, and asks for the task again."""
    return {"error": outcome.why} if outcome.is_blind else outcome.prediction


def _prompter() -> Prompter:
    """Imported where a predictor is there already: the port is to answer before NumPy and its like are read."""
    from prelabel.inference.prompting import Prompter

    return Prompter()


def _prompt(prompter: Prompter, predictor: Predictor, wanted: PredictRequest) -> list[dict[str, Any]]:
    answer = partial(
        prompter.answer,
        predictor,
        context=wanted.context,
        label_config=wanted.label_config,
        project_id=wanted.project_id,
    )
    return [answer(task).prediction for task in wanted.tasks]


def _connection_watch() -> Callable[[], bool]:
    """Tells whether the caller of this request hung up, as Label Studio does after ML_TIMEOUT_PREDICT."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")

    def has_left() -> bool:
        try:
            return connection is not None and not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    return has_left


def _log_label_map(predictor: Predictor, project_id: int | None, label_config: str) -> None:
    spec = predictor.label_spec(label_config)
    for line in predictor.capabilities.describe(spec):
        level = logging.WARNING if line in spec.notes else logging.INFO
        logger.log(level, "project %s: %s", project_id, line)
    if reason := predictor.capabilities.why_empty(spec):
        logger.warning(
            "project %s: nothing will be pre-labelled by %s, because %s",
            project_id,
            predictor.version,
            reason,
        )
