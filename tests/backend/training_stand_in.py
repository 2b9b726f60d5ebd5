"""Supervising trainings that are real processes with quick steps; see fake_training.py."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.runs import Run, get_run
from prelabel.worker.supervision import Supervisor

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_training.py")))
PATIENCE_SECONDS = 15.0


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Returns when it is so; fails the test when it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"never came: {what}")
        time.sleep(0.01)


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return False


class Training:
    """A store, a home, and a supervisor whose trainings only pretend. `wanted`: see fake_training.FakeSteps."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.supervisor = Supervisor(settings, database, COMMAND)

    def want(self, **wanted: object) -> None:
        os.environ["FAKE_TRAINING"] = json.dumps(wanted)

    def trace(self, run_id: int, project_id: int = 7) -> list[str]:
        """What the run's processes did, in order."""
        runs = self.settings.prelabel_home / "projects" / str(project_id) / "runs"
        file = runs / f"{run_id}.trace"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, run_id: int) -> Run:
        return get_run(self.database, run_id)

    def wait_for(self, run_id: int, line: str) -> Run:
        """The run once it has come to this line of its trace."""
        wait_until(lambda: line in self.trace(run_id), line)
        wait_until(lambda: self.run(run_id).process_id, "a process")
        return self.run(run_id)
