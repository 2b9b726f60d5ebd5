"""Commands that take minutes, started from a page: the very command in a process of its own, with what it prints in a
file, so that it neither slows a prediction nor ends with a closed page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock

from prelabel.errors import PrelabelError
from prelabel.folders import is_held, project_folder
from prelabel.settings import Settings
from prelabel.worker.supervision import training_environment

LOCK, FACTS, PRINTED, EXIT_CODE = "process.lock", "job.json", "printed", "exit_code"

START = timedelta(seconds=10)
"""What a process takes at most until it holds its lock."""

MOST_AT_ONCE = 2
"""Each loads a network, and takes the time of predictions and training runs."""

MOST_SHOWN = 20_000
"""Bytes of the end of what a command printed."""


@dataclass(frozen=True)
class Job:
    """One command, the last of its name. `command`: as people type it. `is_running`: its process lives. `exit_code`:
    None while it runs, or where it was killed. `printed`: the end of what it printed.
    """

    command: str
    started_at: datetime
    is_running: bool
    exit_code: int | None
    printed: str


def start_job(settings: Settings, project_id: int, name: str, command: Sequence[str]) -> str:
    """Start `prelabel COMMAND` for a project, unless one of this name is at work; what was done, in a sentence.

    Raises PrelabelError where it cannot be started.
    """
    folder = _folder(settings, project_id, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "start.lock"):
            if (known := read_job(settings, project_id, name)) and known.is_running:
                raise PrelabelError(f"`{known.command}` is still at work: wait for its end.")
            if _at_work(settings) >= MOST_AT_ONCE:
                raise PrelabelError(
                    f"{MOST_AT_ONCE} other commands are at work on this machine: wait for the end of one."
                )
            said = {"command": " ".join(["prelabel", *command]), "started_at": datetime.now(UTC).isoformat()}
            (folder / EXIT_CODE).unlink(missing_ok=True)
            (folder / FACTS).write_text(json.dumps(said), encoding="utf-8")
            nice = str(settings.prelabel_training_nice)
            with (folder / PRINTED).open("wb") as printed:
                process = subprocess.Popen(
                    [sys.executable, "-m", "prelabel.console.job_process", str(folder), nice, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env={**training_environment(settings), "COLUMNS": "120"},
                    process_group=0,
                )
            threading.Thread(
                target=process.wait, name=f"job {name}", daemon=True
            ).start()  # else it stays a zombie
    except OSError as error:
        raise PrelabelError(f"{folder} cannot be written: {error.strerror or error}") from error
    return f"Started `{said['command']}`."


def read_job(settings: Settings, project_id: int, name: str) -> Job | None:
    """The last job of this name, None before the first."""
    folder = _folder(settings, project_id, name)
    try:
        said = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        started_at = datetime.fromisoformat(said["started_at"])
        is_running = is_held(folder / LOCK) or _is_starting(folder, started_at)
        printed = end_of(folder / PRINTED, MOST_SHOWN)
        return Job(said["command"], started_at, is_running, _exit_code(folder), printed)
    except (OSError, ValueError, KeyError):
        return None


def end_of(file: Path, most: int) -> str:
    """The last `most` bytes of a file, as text. Raises OSError."""
    with file.open("rb") as stream:
        stream.seek(max(file.stat().st_size - most, 0))
        return stream.read().decode(errors="replace")


def _at_work(settings: Settings) -> int:
    """How many jobs of all projects are."""
    return sum(map(is_held, (settings.prelabel_home / "projects").glob(f"*/jobs/*/{LOCK}")))


def _exit_code(folder: Path) -> int | None:
    file = folder / EXIT_CODE
    return int(file.read_text(encoding="utf-8")) if file.exists() else None


def _is_starting(folder: Path, started_at: datetime) -> bool:
    """Its process has not come to take the lock yet."""
    return not (folder / EXIT_CODE).exists() and datetime.now(UTC) - started_at < START


def _folder(settings: Settings, project_id: int, name: str) -> Path:
    return project_folder(settings, project_id) / "jobs" / name
