"""The process of one run: `python -m prelabel.worker.run_process RUN_ID`, started by the worker."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from logging.config import dictConfig
from pathlib import Path

from filelock import FileLock, Timeout

from fbnetv3.folds import FOLD_WEIGHTS
from prelabel.folders import LOG, PROCESS_LOCK, run_folder
from prelabel.logs import logging_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database, StoreError
from prelabel.store.project_settings import project_settings
from prelabel.store.runs import UNFINISHED, Run, get_run
from prelabel.training.training_run import EVALUATION, Steps, TrainingRun
from prelabel.training.triggers import TriggerRules
from prelabel.versions.learnt import FOLDS
from prelabel.worker.lifeline import end_with_parent

logger = logging.getLogger("prelabel.worker.run_process")  # run as a module, its name is __main__

LOCK_SECONDS = 5.0
"""A process that asks whether the lock is held holds it for a moment."""

KEPT = (LOG, "plan.json", "metrics.jsonl", "events.out.tfevents.*", EVALUATION, PROCESS_LOCK, FOLDS)
"""Of an ended run; the weights of a version are kept with the versions, those of its folds here."""

KEPT_OF_FOLDS = (FOLD_WEIGHTS, "metrics.jsonl")


def run_process(run_id: int, make_steps: Callable[[Settings, Database, Run, Path], Steps]) -> int:
    """What the process does; its exit code. Exit code 0 says that the run has ended."""
    end_with_parent()
    settings = load_settings()
    os.nice(settings.prelabel_training_nice)
    dictConfig(logging_config(settings.log_level))
    try:
        database = Database.open(settings.database_url)
        run = get_run(database, run_id)
        settings = project_settings(settings, database, run.project_id)
        folder = run_folder(settings, run)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / PROCESS_LOCK, timeout=LOCK_SECONDS):
            if run.state in UNFINISHED:
                steps = make_steps(settings, database, run, folder)
                TrainingRun(database, run, folder, steps, TriggerRules.of(settings)).carry_out()
                remove(folder, KEPT)
                for fold in folder.glob(FOLDS):
                    remove(fold, KEPT_OF_FOLDS)
    except Timeout:
        logger.error("another process works on run %s", run_id)
        return 1
    except StoreError as error:
        logger.error("%s", error)
        return 1
    return 0


def remove(folder: Path, kept: Iterable[str]) -> None:
    """What an ended run needs no more: everything but these names."""
    for path in folder.iterdir():
        if not any(path.match(pattern) for pattern in kept):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    from prelabel.training.steps import LearningSteps

    sys.exit(run_process(int(sys.argv[1]), LearningSteps))
