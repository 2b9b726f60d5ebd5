"""Where the files of projects and their runs are, and the lock that the process of a run holds while it lives."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from prelabel.settings import Settings
from prelabel.store.runs import Run

LOG = "run.log"
PROCESS_LOCK = "process.lock"
WORKER_LOCK = "worker.lock"


def project_folder(settings: Settings, project_id: int) -> Path:
    """Everything that is kept of a project but its versions: images, snapshots, runs."""
    return settings.prelabel_home / "projects" / str(project_id)


def run_folder(settings: Settings, run: Run) -> Path:
    """What a run writes. Numbers of runs count from 1 in every database, so the name also has the moment of its
    request: what another database's run left must not be gone on with. Older runs lie under their number alone.
    """
    runs = project_folder(settings, run.project_id) / "runs"
    older = runs / str(run.id)
    return older if _is_of(older, run) else runs / f"{run.id}-{run.requested_at:%Y%m%dT%H%M%S.%f}"


def _is_of(older: Path, run: Run) -> bool:
    """Whether the log there was written since the run was requested."""
    try:
        return (older / LOG).stat().st_mtime >= run.requested_at.timestamp()
    except OSError:
        return False


def is_held(lock: Path) -> bool:
    """Whether a living process holds this lock: the kernel lets go of it when the process ends, however."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
