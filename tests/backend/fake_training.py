"""The process of a run with steps that only take time and write files; what it shall do is in $FAKE_TRAINING, JSON.

It is started as the real one is: `python fake_training.py RUN_ID`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fbnetv3.files import write_whole
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.runs import Run
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.training.training_run import CandidateEvaluation, OnProgress, RunFailed
from prelabel.worker.run_process import run_process

STEPS = 20


class FakeSteps:
    """Each step appends its name to trace.txt beside the run's folder. `pause`: seconds that each takes; `digest`: of
    the labels; `labelled`: tasks; `objects`: in one of them; `fail`, `crash`, `die`: steps that raise a foreseen error,
    an unforeseen one, or end the process as the kernel does; `slow`: a step that lasts; `promoted`: what the gate
    decides.
    """

    def __init__(self, settings: Settings, database: Database, run: Run, folder: Path) -> None:
        self._folder = folder
        self._wanted: dict[str, Any] = json.loads(os.environ.get("FAKE_TRAINING", "{}"))
        self._trace = folder.with_name(f"{run.id}.trace")
        self._note(f"nice {os.nice(0)} threads {os.environ.get('OMP_NUM_THREADS')}")

    def labelled_tasks(self) -> int:
        return self._wanted.get("labelled", 12)

    def read_labels(self, on_progress: OnProgress) -> str:
        self._begin("labels")
        return self._wanted.get("digest", "aaaaaaaaaaaa")

    def most_objects(self, digest: str) -> int:
        return self._wanted.get("objects", 1)

    def train(self, digest: str, on_progress: OnProgress) -> None:
        self._begin("training")
        state = self._folder / "state.txt"
        first = int(state.read_text()) if state.exists() else 0
        for step in range(first + 1, STEPS + 1):
            time.sleep(self._wanted.get("pause", 0.0))
            write_whole(str(step).encode(), state)
            self._note(f"step {step}")
            on_progress(step, STEPS, (STEPS - step) * 0.1)
        write_whole(str(STEPS).encode(), self._folder / "candidate")

    def judge(self, digest: str, on_progress: OnProgress) -> CandidateEvaluation:
        assert (self._folder / "candidate").read_text() == str(STEPS)
        self._begin("judging")
        promoted = self._wanted.get("promoted", True)
        return CandidateEvaluation(promoted, "Better by far.", VersionJudgement(), VersionPlan({"epochs": 3}))

    def make_version(self, digest: str, evaluation: CandidateEvaluation) -> str:
        self._begin("version")
        return "p7-v1"

    def promote(self, version: str) -> None:
        self._begin("promotion")

    def _begin(self, name: str) -> None:
        self._note(name)
        if name == self._wanted.get("fail"):
            raise RunFailed("Label Studio refuses the token.")
        if name == self._wanted.get("crash"):
            raise ZeroDivisionError
        if name == self._wanted.get("die"):
            os.kill(os.getpid(), 9)
        if name == self._wanted.get("slow"):
            time.sleep(0.4)

    def _note(self, line: str) -> None:
        with self._trace.open("a") as trace:
            trace.write(line + "\n")


if __name__ == "__main__":
    sys.exit(run_process(int(sys.argv[1]), FakeSteps))
