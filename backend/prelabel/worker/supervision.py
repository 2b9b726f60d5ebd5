"""One run after the other, each as a child process that gives way to everything else; taken up again when it dies."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prelabel.folders import LOG, PROCESS_LOCK, is_held, run_folder
from prelabel.settings import Settings, as_environment
from prelabel.store.database import Database
from prelabel.store.events import last_labelling
from prelabel.store.run_progress import beat, claim, finish, note_start, request_cancel
from prelabel.store.runs import ENDS, Run, RunState, get_run, queued_runs, unfinished_runs
from prelabel.training.bursts import is_settling
from prelabel.training.retries import fail_run
from prelabel.worker.lifeline import kill_group, let_go, start_child, stop_child

logger = logging.getLogger(__name__)

TRAINING_RUN = (sys.executable, "-m", "prelabel.worker.run_process")

POLL_SECONDS = 1.0
"""How long a cancelled run goes on at most, and how late a run is noticed whose burst of labels is over."""

SILENT = timedelta(seconds=60)
"""Without a sign of life for so long, a run of another host has lost its worker. Of our own host we know at once."""

MAX_STARTS = 3
PAUSE_SECONDS = 2.0
"""Before a run that died is started again, times the number of starts: what took its memory may end meanwhile."""


class Supervisor:
    """Works off the runs of one store. `command`: what trains, to be called with the id of the run."""

    def __init__(self, settings: Settings, database: Database, command: Sequence[str] = TRAINING_RUN) -> None:
        self._settings = settings
        self._database = database
        self._command = command
        self._turn = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()

    def work_off(self) -> None:
        """Train until nothing is left to train; at once where another thread does so, and looks once more."""
        self._wanted.set()
        while self._wanted.is_set() and self._turn.acquire(blocking=False):
            try:
                self._wanted.clear()
                while not self._stopping.is_set():
                    run, others_settle = self._next()
                    if run:
                        self._supervise(run)
                    elif others_settle:
                        self._stopping.wait(POLL_SECONDS)
                    else:
                        break
            finally:
                self._turn.release()

    def stop(self) -> None:
        """End the process of the run and start no other; the run goes on with the next worker."""
        self._stopping.set()
        with self._turn:
            pass

    def _next(self) -> tuple[Run | None, bool]:
        """A run that lost its process, else the first that can be claimed; and without one, whether any waits for more
        labels."""
        for run in unfinished_runs(self._database):
            if is_abandoned(self._settings, run):
                return run, False
        now, others_settle = datetime.now(UTC), False
        for run in queued_runs(self._database):
            if run.starts_by and is_settling(run, last_labelling(self._database, run.project_id), now):
                others_settle = True
            elif claim(self._database, run.id):
                return get_run(self._database, run.id), False
        return None, others_settle

    def _supervise(self, run: Run) -> None:
        if run.starts >= MAX_STARTS:
            self._fail(run, f"started {MAX_STARTS} times without getting any further")
        elif run.cancel_requested and run.state == RunState.RUNNING:
            self._cancel(run)
        elif not self._stopping.wait(PAUSE_SECONDS * run.starts):
            process = self._start(run)
            note_start(self._database, run.id, socket.gethostname(), process.pid)
            self._watch(run, process)
            self._settle(run, process.returncode)

    def _start(self, run: Run) -> subprocess.Popen[bytes]:
        folder = run_folder(self._settings, run)
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("project %s: run %s starts, its log is %s", run.project_id, run.id, folder / LOG)
        with (folder / LOG).open("ab") as log:
            return start_child([*self._command, str(run.id)], training_environment(self._settings), log)

    def _watch(self, run: Run, process: subprocess.Popen[bytes]) -> None:
        """Until the process has ended, by itself or because that is wanted."""
        while True:
            try:
                process.wait(POLL_SECONDS)
                kill_group(process)
                let_go(process)
                return
            except subprocess.TimeoutExpired:
                now = beat(self._database, run.id)
            if self._stopping.is_set() or (now.cancel_requested and now.state == RunState.RUNNING):
                stop_child(process)
                return

    def _settle(self, run: Run, code: int) -> None:
        """Say how the run ended; one that has not is taken up again by `_next`."""
        now = get_run(self._database, run.id)
        if now.state in ENDS:
            logger.info("project %s: run %s is %s: %s", run.project_id, run.id, now.state, now.reason)
        elif now.cancel_requested and now.state == RunState.RUNNING:
            self._cancel(run)
        elif now.starts >= MAX_STARTS:
            self._fail(run, f"{_how(code)} {MAX_STARTS} times without getting any further")
        elif not self._stopping.is_set():
            logger.warning("project %s: run %s %s and goes on", run.project_id, run.id, _how(code))

    def _fail(self, run: Run, reason: str) -> None:
        if fail_run(self._database, run, reason):
            logger.info("project %s: run %s is failed: %s", run.project_id, run.id, reason)

    def _cancel(self, run: Run) -> None:
        if finish(self._database, run.id, RunState.CANCELLED, "cancelled"):
            logger.info("project %s: run %s is cancelled", run.project_id, run.id)


def is_abandoned(settings: Settings, run: Run) -> bool:
    """Whether an unfinished run has no process any more."""
    is_ours = run.host in (None, socket.gethostname())
    silent = run.heartbeat is None or datetime.now(UTC) - run.heartbeat > SILENT
    return (is_ours or silent) and not is_held(run_folder(settings, run) / PROCESS_LOCK)


def cancel_run(settings: Settings, database: Database, run_id: int) -> Run:
    """End a run that waits or has no process, have its worker end one that trains, and a failed one not tried again.

    Raises RunError.
    """
    run = request_cancel(database, run_id)
    if run.state == RunState.RUNNING and is_abandoned(settings, run):
        finish(database, run_id, RunState.CANCELLED, "cancelled")
    return get_run(database, run_id)


def training_environment(settings: Settings) -> dict[str, str]:
    """For processes that compute in the background: the settings, few threads, and waiting without spinning."""
    threads = str(settings.training_threads)
    bounds = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    return {**os.environ, **as_environment(settings), **bounds, "OMP_WAIT_POLICY": "PASSIVE"}


def _how(code: int) -> str:
    if code == -9:
        return "was killed, perhaps for want of memory,"
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
