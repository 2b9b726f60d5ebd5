"""The worker: huey's consumer, which trains, looks for runs that were left, and asks Label Studio for lost labels.

`prelabel worker` runs it alone; `python -m prelabel.jobs.worker` is the child of `prelabel serve`.
"""

from __future__ import annotations

import logging
import sys
from logging.config import dictConfig

from filelock import FileLock, Timeout
from huey import crontab

from prelabel.jobs.folders import WORKER_LOCK
from prelabel.jobs.lifeline import end_with_parent
from prelabel.jobs.queue import QueueError, TrainingQueue
from prelabel.jobs.reconcile import Reconciliation
from prelabel.jobs.refreshing import Refresher
from prelabel.jobs.retries import request_due_retries
from prelabel.jobs.supervision import Supervisor
from prelabel.labelstudio.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.logs import logging_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database, StoreError

logger = logging.getLogger("prelabel.jobs.worker")  # run as a module, its name is __main__

THREADS = 3
"""One trains, one refreshes predictions, one wakes up every minute."""

IDLE_SECONDS = 1.0
"""How long a message may wait: SQLite is asked this often."""

SHUTDOWN_SECONDS = 1.0

LOCK_SECONDS = 1.0
"""Whoever asks whether the lock is held holds it for a moment."""


class AnotherWorker(RuntimeError):
    """A worker runs already; the message is one sentence."""


def work(settings: Settings) -> None:
    """Work until a signal ends it. Raises AnotherWorker, StoreError and QueueError before anything is started."""
    settings.prelabel_home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.prelabel_home / WORKER_LOCK, timeout=LOCK_SECONDS):
            _work(settings)
    except Timeout:
        raise AnotherWorker(f"another worker runs for {settings.prelabel_home}: one is enough") from None


def _work(settings: Settings) -> None:
    database = Database.open(settings.database_url)
    supervisor = Supervisor(settings, database)
    refresher = Refresher(settings, database)

    def train() -> None:
        supervisor.work_off()
        refresher.refresh()

    queue = TrainingQueue(settings, train)
    queue.check()
    queue.speak_of_outages_in_a_line()
    reconciliation = Reconciliation(settings, database, queue, _client(settings))

    @queue.huey.periodic_task(crontab(), name="look_after_runs")
    def look_after_runs() -> None:
        request_due_retries(database)
        supervisor.work_off()

    @queue.huey.periodic_task(crontab(), name="refresh_predictions")
    def refresh_predictions() -> None:
        refresher.refresh()

    @queue.huey.periodic_task(crontab(), name="reconcile")
    def reconcile() -> None:
        reconciliation.run_if_due()

    consumer = queue.huey.create_consumer(
        workers=THREADS, max_delay=IDLE_SECONDS, scheduler_interval=15, shutdown_timeout=SHUTDOWN_SECONDS
    )
    logger.info("the worker is ready; trainings have %d threads", settings.training_threads)
    consumer.run()
    refresher.stop()
    supervisor.stop()
    database.close()


def _client(settings: Settings) -> LabelStudioClient | None:
    key = settings.label_studio_api_key
    if key is None:
        logger.warning("without LABEL_STUDIO_API_KEY no labels can be read: no training will succeed")
        return None
    try:
        return LabelStudioClient(settings.label_studio_url, key.get_secret_value())
    except LabelStudioError as error:
        logger.warning("no labels can be read: %s", error)
        return None


def main() -> int:
    """The child of a server, which ends with it; its exit code."""
    end_with_parent()
    settings = load_settings()
    dictConfig(logging_config(settings.log_level))
    try:
        work(settings)
    except (AnotherWorker, StoreError, QueueError) as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
