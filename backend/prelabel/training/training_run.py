"""One run: from the project's labels to a version, or to the reason why there is none.

It may be killed at any moment. Started again it finds on disk what it has done: the snapshot, the last training
checkpoint, the candidate, its evaluation. Making a version and promoting it can be repeated.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fbnetv3.files import write_whole
from fbnetv3.finetuning.cadence import MANY_OBJECTS
from prelabel.errors import PrelabelError
from prelabel.store.database import Database, StoreError
from prelabel.store.run_progress import finish, note_decision, note_labels, note_snapshot, report
from prelabel.store.runs import Run, RunState, Stage, last_trained
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.training.retries import fail_run
from prelabel.training.triggers import TriggerRules, too_few

logger = logging.getLogger(__name__)

EVALUATION = "verdict.json"
"""Where a run keeps its CandidateEvaluation; the name is that of older releases, whose runs may go on here."""

REPORT_SECONDS = 1.0


class RunFailed(PrelabelError):
    """A run cannot be finished for a reason that was foreseen; the message is one sentence.

    `is_lasting`: only new labels or a person can mend it, so that trying again by itself would fail again.
    """

    def __init__(self, reason: str, *, is_lasting: bool = False) -> None:
        super().__init__(reason)
        self.is_lasting = is_lasting


class NothingNew(PrelabelError):
    """The labels are those of an earlier run; the message names it."""


@dataclass(frozen=True)
class CandidateEvaluation:
    """What the gate decided on the candidate, and what is kept with its version."""

    promoted: bool
    reason: str
    judgement: VersionJudgement
    plan: VersionPlan

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        details = {"judgement": self.judgement.as_dict(), "plan": self.plan.as_dict()}
        return {"promoted": self.promoted, "reason": self.reason, **details}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CandidateEvaluation:
        """What `as_dict` gave."""
        judgement, plan = VersionJudgement.from_dict(data["judgement"]), VersionPlan.from_dict(data["plan"])
        return cls(data["promoted"], data["reason"], judgement, plan)


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

    def most_objects(self, digest: str) -> int:
        """How many objects the image of the snapshot has that has most."""

    def train(self, digest: str, on_progress: OnProgress) -> None:
        """Leave the candidate in the folder, whole or not at all."""

    def judge(self, digest: str, on_progress: OnProgress) -> CandidateEvaluation:
        """The candidate against what serves."""

    def make_version(self, digest: str, evaluation: CandidateEvaluation) -> str:
        """Store the candidate as a version, once; its name."""

    def promote(self, version: str) -> None:
        """Make the version serve."""


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
            self._log_end(RunState.CANCELLED, str(nothing))
            finish(self._database, self._run.id, RunState.CANCELLED, str(nothing), is_settled=True)
        except RunFailed as failed:
            self._fail(str(failed), failed.is_lasting)
        except StoreError:  # nor could its end be noted: the process ends, and another one goes on
            raise
        except Exception as error:
            logger.exception("run %s failed", self._run.id)
            command = f"`prelabel runs log {self._run.id}`"
            self._fail(f"unforeseen {type(error).__name__}: see {command}")
        else:
            self._log_end(state, reason)
            finish(self._database, self._run.id, state, reason, version)

    def _carry_out(self) -> tuple[RunState, str, str | None]:
        digest = self._run.snapshot_digest or self._read_labels()
        evaluation = self._evaluate(digest)
        note_decision(self._database, self._run.id, evaluation.reason)
        self._report(Stage.PROMOTING)
        version = self._steps.make_version(digest, evaluation)
        logger.info("%s is %s", version, "promoted" if evaluation.promoted else "rejected")
        if not evaluation.promoted:
            return RunState.REJECTED, evaluation.reason, version
        self._steps.promote(version)
        return RunState.PROMOTED, evaluation.reason, version

    def _read_labels(self) -> str:
        on_progress = self._report(Stage.LABELS)
        labelled = self._steps.labelled_tasks()
        note_labels(self._database, self._run.id, labelled)
        self._check_number(labelled, MANY_OBJECTS)
        digest = self._steps.read_labels(on_progress)
        self._check_number(labelled, self._steps.most_objects(digest))
        earlier = last_trained(self._database, self._run.project_id)
        if earlier and earlier.snapshot_digest == digest:
            raise NothingNew(f"nothing new since run {earlier.id}")
        note_snapshot(self._database, self._run.id, digest)
        return digest

    def _check_number(self, labelled: int, objects: int) -> None:
        if objection := too_few(self._rules, labelled, objects):
            raise RunFailed(objection, is_lasting=True)

    def _evaluate(self, digest: str) -> CandidateEvaluation:
        """A run whose candidate was judged is not trained again."""
        file = self._folder / EVALUATION
        if file.exists():
            return CandidateEvaluation.from_dict(json.loads(file.read_text(encoding="utf-8")))
        self._steps.train(digest, self._report(Stage.TRAINING))
        evaluation = self._steps.judge(digest, self._report(Stage.JUDGING))
        write_whole(json.dumps(evaluation.as_dict(), indent=1).encode(), file)
        logger.info("%s", evaluation.reason)
        return evaluation

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

    def _fail(self, reason: str, is_lasting: bool = False) -> None:
        self._log_end(RunState.FAILED, reason)
        fail_run(self._database, self._run, reason, is_lasting=is_lasting)

    def _log_end(self, state: RunState, reason: str) -> None:
        logger.info("run %s is %s: %s", self._run.id, state, reason)
