"""Promotions that Label Studio has not followed yet: told to it, in a process beside the training run.

`python -m prelabel.worker.refreshing PROJECT_ID` is that process; the worker starts it and tries again later where
it fails.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from logging.config import dictConfig

from prelabel.errors import FORESEEN
from prelabel.logs import logging_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.project_settings import project_settings
from prelabel.store.promotions import unfinished_promotions
from prelabel.worker.lifeline import end_with_parent, let_go, start_child, stop_child
from prelabel.worker.supervision import training_environment

logger = logging.getLogger("prelabel.worker.refreshing")  # run as a module, its name is __main__

REFRESH = (sys.executable, "-m", "prelabel.worker.refreshing")

RETRY_SECONDS = 600.0
"""After a refresh that failed: Label Studio was away, or the token is wrong."""

POLL_SECONDS = 1.0


class Refresher:
    """Starts one refresh after the other. `command`: what refreshes, to be called with the id of the project."""

    def __init__(self, settings: Settings, database: Database, command: Sequence[str] = REFRESH) -> None:
        self._settings = settings
        self._database = database
        self._command = command
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._not_before: dict[int, float] = {}

    def refresh(self) -> None:
        """Do what is to be done now; nothing where another thread does so."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            for promotion in unfinished_promotions(self._database):
                if self._is_due(promotion.project_id) and not self._stopping.is_set():
                    self._refresh(promotion.project_id)
        finally:
            self._turn.release()

    def stop(self) -> None:
        """End the process and start no other; the next worker goes on."""
        self._stopping.set()
        with self._turn:
            pass

    def _is_due(self, project_id: int) -> bool:
        return time.monotonic() >= self._not_before.get(project_id, 0.0)

    def _refresh(self, project_id: int) -> None:
        process = start_child([*self._command, str(project_id)], training_environment(self._settings))
        while True:
            try:
                process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if self._stopping.is_set():
                    stop_child(process)
                    return
        let_go(process)
        if process.returncode:
            self._not_before[project_id] = time.monotonic() + RETRY_SECONDS


def refresh_project(settings: Settings, project_id: int) -> int:
    """Tell Label Studio what serves the project, and predict its unlabelled tasks again; the exit code."""
    from prelabel.labelstudio.api.client import label_studio_client
    from prelabel.publish.promotion import publish
    from prelabel.queue.after_promotion import refresh_predictions

    try:
        database = Database.open(settings.database_url)
        client = label_studio_client(settings)
        settings = project_settings(settings, database, project_id)
        for change in publish(settings, database, client, project_id):
            logger.info("project %s: %s", project_id, change)
        summary = refresh_predictions(settings, database, client, project_id)
    except FORESEEN as error:
        logger.warning("project %s: its predictions could not be refreshed: %s", project_id, error)
        return 1
    if summary:
        logger.info("project %s: %d tasks predicted again", project_id, summary.pushed)
    return 0


def main() -> int:
    """The process; its exit code."""
    end_with_parent()
    settings = load_settings()
    os.nice(settings.prelabel_training_nice)
    dictConfig(logging_config(settings.log_level))
    return refresh_project(settings, int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
