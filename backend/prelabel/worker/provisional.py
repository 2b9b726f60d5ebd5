"""The process that makes provisional versions: started by the worker when labels wait, gone when none came for a while.

`python -m prelabel.worker.provisional` is that process. It takes a second or two to start and 300 MB while it lives,
which the worker and the server are spared; while somebody labels it is there, and looks at the store by itself. What
there is to do is always read from the store, so it may be killed at any moment.
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
from time import sleep
from typing import TYPE_CHECKING

from prelabel.errors import FORESEEN
from prelabel.logs import logging_config
from prelabel.provisional.pacing import POLL_SECONDS, RETRY_SECONDS, Pacing
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database, StoreError
from prelabel.store.provisional import projects_to_make, provisional_versions
from prelabel.worker.lifeline import end_with_parent, let_go, start_child, stop_child
from prelabel.worker.supervision import training_environment

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor
    from prelabel.labelstudio.api.client import LabelStudioClient
    from prelabel.provisional.making import Made, ProvisionalMaker

logger = logging.getLogger("prelabel.worker.provisional")  # run as a module, its name is __main__

PROVISIONAL = (sys.executable, "-m", "prelabel.worker.provisional")

IDLE_SECONDS = 300.0
"""After the last label: people take minutes over one task, seldom more."""


class ProvisionalProcess:
    """Starts the process where it is needed and does not run. `command`: what makes provisional versions."""

    def __init__(self, settings: Settings, database: Database, command: Sequence[str] = PROVISIONAL) -> None:
        self._settings = settings
        self._database = database
        self._command = command
        self._lock = threading.Lock()
        self._is_stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._is_first = True

    def look(self) -> None:
        """Start the process where labels wait; the first time also where provisional versions are there, whose base
        weights or files may be others by now. Raises StoreError.
        """
        if not self._settings.prelabel_provisional or self._settings.label_studio_api_key is None:
            return
        with self._lock:
            if self._is_stopping or self._process or time.monotonic() < self._not_before:
                return
            wanted = bool(projects_to_make(self._database))
            if not wanted and self._is_first:
                wanted = bool(provisional_versions(self._database))
            self._is_first = False
            if wanted:
                self._process = start_child(self._command, training_environment(self._settings))
                threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def stop(self) -> None:
        """End the process and start no other; the next worker goes on."""
        with self._lock:
            self._is_stopping = True
            process = self._process
        if process:
            stop_child(process)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Until it has ended; what came while it was about to is seen to by another one."""
        code = process.wait()
        let_go(process)
        with self._lock:
            self._process = None
            if code and not self._is_stopping:
                logger.warning("the process that makes provisional versions ended with %s", code)
                self._not_before = time.monotonic() + RETRY_SECONDS
        try:
            self.look()
        except StoreError as error:
            logger.error("%s", error)


class Making:
    """What the process does: looks at the store, and makes what is wanted there."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: LabelStudioClient,
        base: Predictor,
        maker: ProvisionalMaker,
    ) -> None:
        self._settings = settings
        self._database = database
        self._client = client
        self._base = base
        self._maker = maker
        self._pacing = Pacing()

    def work(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """Make provisional versions until nothing was to be done for a while."""
        for version in provisional_versions(self._database):
            if not self._is_servable(version.name):
                self._make(version.project_id)
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < idle_seconds:
            waiting = projects_to_make(self._database)
            project_id = self._pacing.next(waiting, time.monotonic())
            if project_id is not None:
                self._make(project_id)
            if waiting:
                idle_since = time.monotonic()
            sleep(POLL_SECONDS)

    def _is_servable(self, name: str) -> bool:
        from prelabel.versions.provisional import provisional_predictor

        try:
            provisional_predictor(self._settings, self._database, name, self._base)
        except FORESEEN as error:
            logger.info("%s is made again: %s", name, error)
            return False
        return True

    def _make(self, project_id: int) -> None:
        started = time.monotonic()
        try:
            made = self._maker.make(project_id)
            if made:
                self._tell(made, time.monotonic() - started)
            self._pacing.made(project_id, started, time.monotonic())
            if made:
                self._renew(made)
        except StoreError:
            raise
        except FORESEEN as error:
            logger.warning("project %s: no provisional version now: %s", project_id, error)
            self._pacing.failed(project_id, time.monotonic())

    def _tell(self, made: Made, seconds: float) -> None:
        version = made.version
        logger.info(
            "project %s: %s of %d images is made in %.1f s",
            version.project_id,
            version.name,
            version.images,
            seconds,
        )

    def _renew(self, made: Made) -> None:
        """Until newer labels wait."""
        from prelabel.provisional.next_tasks import renew_next_tasks
        from prelabel.versions.provisional import provisional_predictor

        project_id = made.version.project_id
        predictor = provisional_predictor(self._settings, self._database, made.version.name, self._base)
        renew_next_tasks(
            self._settings,
            self._database,
            self._client,
            predictor,
            project_id,
            made.last_task,
            keep_going=lambda: project_id not in projects_to_make(self._database),
        )


def make_provisional_versions(settings: Settings) -> int:
    """Load the base weights and work; the exit code."""
    from prelabel.labelstudio.api.client import label_studio_client
    from prelabel.provisional.making import ProvisionalMaker
    from prelabel.versions.loading import base_predictor, build_fetcher

    few_threads = settings.model_copy(update={"prelabel_inference_threads": settings.training_threads})
    try:
        database = Database.open(settings.database_url)
        client = label_studio_client(settings)
        base = base_predictor(few_threads)
        maker = ProvisionalMaker(settings, database, client, build_fetcher(settings), base)
        Making(settings, database, client, base, maker).work()
    except FORESEEN as error:
        logger.warning("no provisional versions now: %s", error)
        return 1
    return 0


def main() -> int:
    """The process; its exit code."""
    end_with_parent()
    settings = load_settings()
    os.nice(settings.prelabel_training_nice // 2)
    dictConfig(logging_config(settings.log_level))
    return make_provisional_versions(settings)


if __name__ == "__main__":
    sys.exit(main())
