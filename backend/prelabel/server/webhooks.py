"""The route that takes Label Studio's events, and what they start: recorded and answered within milliseconds."""

from __future__ import annotations

import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import Unauthorized

from prelabel.labelstudio.api.webhooks import SECRET_HEADER
from prelabel.server.wire import parse_json
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.events import action_of, project_of, record_event
from prelabel.store.label_counts import accepted_labels, changes_labels
from prelabel.store.project_settings import project_settings
from prelabel.store.run_progress import request_run
from prelabel.store.runs import NewLabels, new_labels
from prelabel.training.bursts import PATIENCE
from prelabel.training.triggers import START_TRAINING, TriggerRules, event_reason
from prelabel.worker.wake_up import WakeUpMessages

logger = logging.getLogger(__name__)


WAKE_SECONDS = 1.0
"""Between two messages about changed labels."""


def webhook_routes(settings: Settings, database: Database) -> Blueprint:
    """The route for one app."""
    routes = Blueprint("webhooks", __name__)
    trigger = Trigger(settings, database)
    secret = settings.prelabel_webhook_secret

    @routes.post("/webhook")
    def webhook() -> tuple[Response, int]:
        body, payload = parse_json(request.get_data())
        starts_training = action_of(payload) == START_TRAINING
        if secret and not starts_training:  # that one comes from elsewhere in Label Studio, without headers
            _check(secret.get_secret_value())
        is_new = record_event(database, body, payload)
        if is_new or starts_training:  # pressed again, the button sends the very same
            trigger.pull(payload)
        return (jsonify(status="recorded"), 201) if is_new else (jsonify(status="repeated"), 200)

    return routes


class Trigger:
    """Requests the training runs that events are a reason for, and wakes the worker for these and for changed labels,
    in a thread of its own: a message takes several milliseconds, and seconds where Redis is away.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._woken_at = float("-inf")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="wake")

    def pull(self, payload: Any) -> None:
        """Request a training run where this event is the reason for one that is not requested yet."""
        project_id = project_of(payload)
        if project_id is None:
            return
        if self._settings.prelabel_provisional and changes_labels(payload):
            self._wake_for_labels()
        labels = new_labels(self._database, project_id) if accepted_labels(payload) else NewLabels()
        rules = TriggerRules.of(project_settings(self._settings, self._database, project_id))
        reason = event_reason(rules, payload, labels)
        if reason is None:
            return
        patience = None if action_of(payload) == START_TRAINING else PATIENCE
        run = request_run(self._database, project_id, reason, patience)
        logger.info("project %s: run %s requested: %s", project_id, run.id, reason)
        self._executor.submit(self._wake)

    def _wake_for_labels(self) -> None:
        """Once for those that come together: what was woken goes on looking by itself."""
        now = time.monotonic()
        if now - self._woken_at >= WAKE_SECONDS:
            self._woken_at = now
            self._executor.submit(self._wake)

    @cached_property
    def _messages(self) -> WakeUpMessages:
        return WakeUpMessages(self._settings)

    def _wake(self) -> None:
        self._messages.send()


def _check(secret: str) -> None:
    given = request.headers.get(SECRET_HEADER, "")
    if not hmac.compare_digest(given.encode(), secret.encode()):
        raise Unauthorized(f"The header {SECRET_HEADER} is missing or wrong.")
