"""The process of one run: from the project's labels to a version. `python -m prelabel.jobs.training_run RUN_ID`.

It may be killed at any moment. Started again it finds on disk what it has done: the snapshot, the training's last
checkpoint, the candidate, the verdict. Making a version and promoting it can be repeated.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from logging.config import dictConfig
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from fbnetv3.files import write_whole
from prelabel.jobs.folders import PROCESS_LOCK, run_folder
from prelabel.jobs.lifeline import end_with_parent
from prelabel.jobs.triggers import TriggerRules, too_few
from prelabel.logs import logging_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database, StoreError
from prelabel.store.runs import (
    UNFINISHED,
    Run,
    RunState,
    Stage,
    finish,
    get_run,
    last_trained,
    note_labels,
    note_snapshot,
    note_verdict,
    report,
)

logger = logging.getLogger("prelabel.jobs.training_run")  # run as a module, its name is __main__

VERDICT = "verdict.json"
REPORT_SECONDS = 1.0

LOCK_SECONDS = 5.0
"""Whoever asks whether the lock is held holds it for a moment."""


class RunFailed(RuntimeError):
    """A run cannot be finished for a reason that was foreseen; the message is one sentence."""


class NothingNew(RuntimeError):
    """The labels are those of an earlier run; the message names it."""


@dataclass(frozen=True)
class Judged:
    """What the gate said of the candidate. `judgement`, `plan`: JSON objects, kept with the version."""

    promoted: bool
    reason: str
    judgement: dict[str, Any]
    plan: dict[str, Any]


class OnProgress(Protocol):
    """Hears how far a step is."""

    def __call__(self, step: int, steps: int, seconds_left: float | None = None) -> None: ...


class Steps(Protocol):
    """What a run consists of, for one project and one folder. Each raises RunFailed for what was foreseen, and
    finds what it did before it was killed."""

    def labelled_tasks(self) -> int:
        """Tasks with accepted labels, as Label Studio counts them."""

    def read_labels(self, on_progress: OnProgress) -> str:
        """Write the snapshot; its digest."""

    def train(self, digest: str, on_progress: OnProgress) -> None:
        """Leave the candidate in the folder, whole or not at all."""

    def judge(self, digest: str, on_progress: OnProgress) -> Judged:
        """The candidate against what serves."""

    def make_version(self, digest: str, judged: Judged) -> str:
        """Store the candidate as a version, once; its name."""

    def promote(self, version: str) -> list[str]:
        """Make the version serve; what a person should know, a sentence each."""


class TrainingRun:
    """One run from where it stands to its end."""

    def __init__(self, database: Database, run: Run, folder: Path, steps: Steps, rules: TriggerRules) -> None:
        self._database = database
        self._run = run
        self._folder = folder
        self._steps = steps
        self._rules = rules

    def carry_out(self) -> None:
        """Every error ends in the state of the run: foreseen ones as a sentence, others by their kind."""
        try:
            state, reason, version = self._carry_out()
        except NothingNew as nothing:
            self._finish(RunState.CANCELLED, str(nothing))
        except RunFailed as failed:
            self._finish(RunState.FAILED, str(failed))
        except Exception as error:
            logger.exception("run %s failed", self._run.id)
            command = f"`prelabel runs log {self._run.id}`"
            self._finish(RunState.FAILED, f"unforeseen {type(error).__name__}: see {command}")
        else:
            self._finish(state, reason, version)

    def _carry_out(self) -> tuple[RunState, str, str | None]:
        digest = self._run.snapshot_digest or self._read_labels()
        judged = self._verdict(digest)
        note_verdict(self._database, self._run.id, judged.reason)
        self._report(Stage.PROMOTING)
        version = self._steps.make_version(digest, judged)
        logger.info("%s is %s", version, "promoted" if judged.promoted else "rejected")
        if not judged.promoted:
            return RunState.REJECTED, judged.reason, version
        notes = self._steps.promote(version)
        return RunState.PROMOTED, " ".join([judged.reason, *notes]), version

    def _read_labels(self) -> str:
        on_progress = self._report(Stage.LABELS)
        labelled = self._steps.labelled_tasks()
        note_labels(self._database, self._run.id, labelled)
        if objection := too_few(self._rules, labelled):
            raise RunFailed(objection)
        digest = self._steps.read_labels(on_progress)
        earlier = last_trained(self._database, self._run.project_id)
        if earlier and earlier.snapshot_digest == digest:
            raise NothingNew(f"nothing new since run {earlier.id}")
        note_snapshot(self._database, self._run.id, digest)
        return digest

    def _verdict(self, digest: str) -> Judged:
        """A run that was judged is not trained again."""
        file = self._folder / VERDICT
        if file.exists():
            return Judged(**json.loads(file.read_text(encoding="utf-8")))
        self._steps.train(digest, self._report(Stage.TRAINING))
        judged = self._steps.judge(digest, self._report(Stage.JUDGING))
        write_whole(json.dumps(asdict(judged), indent=1).encode(), file)
        logger.info("%s", judged.reason)
        return judged

    def _report(self, stage: Stage) -> OnProgress:
        """Notes progress once a second, and the beginning and the end of the stage in any case."""
        logger.info("%s", stage)
        report(self._database, self._run.id, stage)
        reported = time.monotonic()

        def on_progress(step: int, steps: int, seconds_left: float | None = None) -> None:
            nonlocal reported
            if step == steps or time.monotonic() - reported >= REPORT_SECONDS:
                report(self._database, self._run.id, stage, step, steps, seconds_left)
                reported = time.monotonic()

        return on_progress

    def _finish(self, state: RunState, reason: str, version: str | None = None) -> None:
        logger.info("run %s is %s: %s", self._run.id, state, reason)
        finish(self._database, self._run.id, state, reason, version)


def remove(folder: Path, kept: Iterable[str]) -> None:
    """What an ended run needs no more: everything but these names."""
    for path in folder.iterdir():
        if not any(path.match(pattern) for pattern in kept):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


KEPT = ("run.log", "plan.json", "metrics.jsonl", "events.out.tfevents.*", VERDICT, PROCESS_LOCK)
"""Of an ended run; the weights of a version are kept with the versions."""


def run_process(run_id: int, make_steps: Callable[[Settings, Database, Run, Path], Steps]) -> int:
    """What the process does; its exit code. Exit code 0 says that the run has ended."""
    end_with_parent()
    settings = load_settings()
    os.nice(settings.prelabel_training_nice)
    dictConfig(logging_config(settings.log_level))
    try:
        database = Database.open(settings.database_url)
        run = get_run(database, run_id)
        folder = run_folder(settings, run)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / PROCESS_LOCK, timeout=LOCK_SECONDS):
            if run.state in UNFINISHED:
                steps = make_steps(settings, database, run, folder)
                TrainingRun(database, run, folder, steps, TriggerRules.of(settings)).carry_out()
                remove(folder, KEPT)
    except Timeout:
        logger.error("another process works on run %s", run_id)
        return 1
    except StoreError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    from prelabel.jobs.learning_steps import LearningSteps

    sys.exit(run_process(int(sys.argv[1]), LearningSteps))
