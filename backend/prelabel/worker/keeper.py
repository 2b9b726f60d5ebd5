"""The worker beside a server: started with it, ended with it, started again when it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from prelabel.folders import WORKER_LOCK, is_held
from prelabel.settings import Settings, as_environment
from prelabel.worker.lifeline import let_go, start_child, stop_child

logger = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "prelabel.worker.worker")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a worker that died is started again; doubled each time, unless it lived for the longest pause."""

OTHER_WORKER_SECONDS = 5.0


class WorkerKeeper:
    """Keeps one worker. The thread that does so also is the worker's parent: it must live as long as the server."""

    def __init__(self, settings: Settings, command: Sequence[str] | None = None) -> None:
        self._command = command or WORKER
        self._lock = settings.prelabel_home / WORKER_LOCK
        self._environment = {**os.environ, **as_environment(settings)}
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="worker keeper", daemon=True)

    def start(self) -> None:
        """Start the worker, or wait until the one that runs already is gone."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; its run goes on with the next one."""
        self._stopping.set()
        if self._process:
            stop_child(self._process)
        self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        self._wait_for_other_worker()
        while not self._stopping.is_set():
            started = time.monotonic()
            self._process = start_child(self._command, self._environment)
            self._process.wait()
            let_go(self._process)
            pause = FIRST_PAUSE if time.monotonic() - started > LONGEST_PAUSE else pause
            if not self._stopping.is_set():
                logger.warning("the worker ended and is started again in %.0f s", pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._wait_for_other_worker()

    def _wait_for_other_worker(self) -> None:
        said = False
        while is_held(self._lock) and not self._stopping.is_set():
            if not said:
                logger.info("another worker runs already; this server starts none while it does")
            said = True
            self._stopping.wait(OTHER_WORKER_SECONDS)
