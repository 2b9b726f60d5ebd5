"""Where a run keeps its files, and the lock that the process of a run holds while it lives."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from prelabel.projects.folders import project_folder
from prelabel.settings import Settings
from prelabel.store.runs import Run

LOG = "run.log"
PROCESS_LOCK = "process.lock"
WORKER_LOCK = "worker.lock"


def run_folder(settings: Settings, run: Run) -> Path:
    """What a run writes."""
    return project_folder(settings, run.project_id) / "runs" / str(run.id)


def is_held(lock: Path) -> bool:
    """Whether a living process holds this lock: the kernel lets go of it when the process ends, however."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
