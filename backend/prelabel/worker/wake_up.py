"""The messages that wake the worker when a training run was requested: huey, on SQLite or Redis.

The runs themselves are rows of the store. A message only has the worker see what there is to do: a lost one costs a
minute, since the worker also looks by itself, and one too many costs nothing.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from huey import Huey, RedisHuey, SqliteHuey
from huey.exceptions import ConfigurationError, HueyException

from prelabel.errors import PrelabelError
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.run_progress import request_run
from prelabel.store.runs import Run, RunState

logger = logging.getLogger(__name__)

NAME = "prelabel"

TASK_MODULE = "prelabel.jobs.queue"
"""A part of the name by which a message finds its task: that of older releases, so that messages of either are read."""

CONNECT_SECONDS = 2.0
"""Redis is near or it is not there."""

TELL_SECONDS = 60.0
"""Between lines about a Redis or an SQLite file that does not answer."""


class WakeUpError(PrelabelError):
    """The worker cannot be woken; the message is one sentence without the password in the URL."""


class WakeUpMessages:
    """`work`: what the worker does when woken; only the worker itself gives it."""

    def __init__(self, settings: Settings, work: Callable[[], None] | None = None) -> None:
        def wake() -> None:
            if work:
                work()

        self.huey = open_huey(settings)
        wake.__module__ = TASK_MODULE
        self._wake = self.huey.task(name="train")(wake)
        has_redis = settings.prelabel_queue_url is not None
        self._store = "the Redis of PRELABEL_QUEUE_URL" if has_redis else str(_file(settings))
        self._told_at = -math.inf
        self._outages = (HueyException, OSError, sqlite3.Error, *_redis_errors(settings.prelabel_queue_url))

    def send(self) -> None:
        """Have the worker look for runs at once. A message that cannot be sent is logged, no more."""
        try:
            self._wake()
        except self._outages as error:
            kind = type(error).__name__
            logger.warning("the worker could not be woken (%s); it looks for runs every minute", kind)

    def check(self) -> None:
        """Raises WakeUpError where no message could be sent now."""
        try:
            self.huey.pending_count()
        except self._outages as error:
            raise WakeUpError(
                f"{self._store}, which wakes the worker, does not answer: {type(error).__name__}"
            ) from error

    def log_outages_in_a_line(self) -> None:
        """At most one a minute; huey logs a traceback each time that it looks for messages in vain."""
        for name in ("huey.consumer.Worker", "huey.consumer.Scheduler"):
            logging.getLogger(name).addFilter(self._in_a_line)

    def _in_a_line(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, self._outages):
            return True
        if time.monotonic() - self._told_at < TELL_SECONDS:
            return False
        self._told_at = time.monotonic()
        record.msg = "the messages that wake the worker cannot be read: %s"
        record.args = (type(error).__name__,)
        record.exc_info = None
        return True


def open_huey(settings: Settings) -> Huey:
    """huey on what the settings name. Raises WakeUpError."""
    if url := settings.prelabel_queue_url:
        return _open_redis(url.get_secret_value())
    file = _file(settings)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey(NAME, filename=str(file), results=False)
    except (OSError, sqlite3.Error) as error:
        raise WakeUpError(
            f"{file} cannot be opened: {error}; a damaged one can be moved away: it only holds messages that wake the "
            "worker"
        ) from error


def request_and_wake(
    database: Database,
    messages: WakeUpMessages,
    project_id: int,
    reason: str,
    patience: timedelta | None = None,
) -> Run:
    """Request a run of this project (see `request_run`), or find the one that waits already, and wake the worker."""
    run = request_run(database, project_id, reason, patience)
    if run.state == RunState.QUEUED:
        messages.send()
    return run


def _file(settings: Settings) -> Path:
    return settings.prelabel_home / "queue.sqlite3"


def _open_redis(url: str) -> Huey:
    try:
        from redis import ConnectionPool

        pool = ConnectionPool.from_url(url, socket_connect_timeout=CONNECT_SECONDS)
        return RedisHuey(NAME, connection_pool=pool, results=False)
    except (ImportError, ConfigurationError):
        raise WakeUpError(
            "PRELABEL_QUEUE_URL names Redis, whose client is not installed: pip install redis"
        ) from None
    except ValueError as error:
        raise WakeUpError(f"PRELABEL_QUEUE_URL cannot be used: {error}") from None


def _redis_errors(url: Any) -> tuple[type[Exception], ...]:
    if not url:
        return ()
    from redis.exceptions import RedisError

    return (RedisError,)
