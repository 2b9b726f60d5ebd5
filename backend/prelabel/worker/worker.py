"""The worker: huey's consumer, which trains, has provisional versions made, looks for runs that were left, and asks
Label Studio for lost labels.

`prelabel worker` runs it alone; `python -m prelabel.worker.worker` is the child of `prelabel serve`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import dictConfig

from filelock import FileLock, Timeout
from huey import crontab

from prelabel.errors import PrelabelError
from prelabel.folders import WORKER_LOCK
from prelabel.labelstudio.api.client import LabelStudioClient, label_studio_client
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.logs import logging_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database, StoreError
from prelabel.training.retries import request_due_retries
from prelabel.worker.lifeline import end_with_parent
from prelabel.worker.provisional import ProvisionalProcess
from prelabel.worker.reconcile import Reconciliation
from prelabel.worker.refreshing import Refresher
from prelabel.worker.supervision import Supervisor
from prelabel.worker.wake_up import WakeUpMessages

logger = logging.getLogger("prelabel.worker.worker")  # run as a module, its name is __main__

THREADS = 3
"""One trains, one refreshes predictions, one wakes up every minute."""

IDLE_SECONDS = 1.0
"""How long a message may wait: SQLite is asked this often."""

SHUTDOWN_SECONDS = 1.0

LOCK_SECONDS = 1.0
"""A process that asks whether the lock is held holds it for a moment."""


class AnotherWorker(PrelabelError):
    """A worker runs already; the message is one sentence."""


def work(settings: Settings) -> None:
    """Work until a signal ends it. Raises AnotherWorker, StoreError and WakeUpError before anything is started."""
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
    provisional = ProvisionalProcess(settings, database)

    def do_what_waits() -> None:
        with store_errors_in_a_line():
            provisional.look()
            supervisor.work_off()
            refresher.refresh()

    messages = WakeUpMessages(settings, do_what_waits)
    messages.check()
    messages.log_outages_in_a_line()
    reconciliation = Reconciliation(settings, database, messages, _client(settings))

    @messages.huey.periodic_task(crontab(), name="look_after_runs")
    def look_after_runs() -> None:
        with store_errors_in_a_line():
            request_due_retries(database)
            supervisor.work_off()

    @messages.huey.periodic_task(crontab(), name="refresh_predictions")
    def refresh_predictions() -> None:
        with store_errors_in_a_line():
            refresher.refresh()

    @messages.huey.periodic_task(crontab(), name="reconcile")
    def reconcile() -> None:
        with store_errors_in_a_line():
            reconciliation.run_if_due()

    @messages.huey.periodic_task(crontab(), name="make_provisional_versions")
    def make_provisional_versions() -> None:
        with store_errors_in_a_line():
            provisional.look()

    consumer = messages.huey.create_consumer(
        workers=THREADS, max_delay=IDLE_SECONDS, scheduler_interval=15, shutdown_timeout=SHUTDOWN_SECONDS
    )
    logger.info("the worker is ready; a training run gets %d threads", settings.training_threads)
    make_provisional_versions.call_local()
    consumer.run()
    provisional.stop()
    refresher.stop()
    supervisor.stop()
    database.close()


@contextmanager
def store_errors_in_a_line() -> Iterator[None]:
    """huey would log a traceback; what could not be done is tried again a minute later."""
    try:
        yield
    except StoreError as error:
        logger.error("%s", error)


def _client(settings: Settings) -> LabelStudioClient | None:
    if settings.label_studio_api_key is None:
        logger.warning("without LABEL_STUDIO_API_KEY no labels can be read: every training run will fail")
        return None
    try:
        return label_studio_client(settings)
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
    except PrelabelError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
