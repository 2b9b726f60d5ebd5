"""One run from its labels to its end, with steps that do nothing: what is noted of it on the way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fbnetv3.finetuning.cadence import FIRST, MANY_OBJECTS
from prelabel.store.database import Database, StoreError
from prelabel.store.run_progress import claim, request_run
from prelabel.store.runs import Run, get_run
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.training import training_run
from prelabel.training.training_run import CandidateEvaluation, OnProgress, TrainingRun
from prelabel.training.triggers import TriggerRules

RULES = TriggerRules(every=20, minimum=10, interval=None)


class NoSteps:
    """`done`: what was asked for. `promoted`: what the gate decides. `objects`: in the image with most."""

    def __init__(
        self, promoted: bool = True, digest: str = "aaa", labelled: int = 10, objects: int = 1
    ) -> None:
        self.promoted, self.digest, self.done = promoted, digest, list[str]()
        self.labelled, self.objects = labelled, objects

    def labelled_tasks(self) -> int:
        return self.labelled

    def read_labels(self, on_progress: OnProgress) -> str:
        self.done.append("labels")
        return self.digest

    def most_objects(self, digest: str) -> int:
        return self.objects

    def train(self, digest: str, on_progress: OnProgress) -> None:
        self.done.append("train")

    def judge(self, digest: str, on_progress: OnProgress) -> CandidateEvaluation:
        self.done.append("judge")
        return CandidateEvaluation(self.promoted, "As judged.", VersionJudgement(), VersionPlan())

    def make_version(self, digest: str, evaluation: CandidateEvaluation) -> str:
        self.done.append("version")
        return "p7-v1"

    def promote(self, version: str) -> None:
        self.done.append(f"promote {version}")


def claimed(database: Database) -> Run:
    run = request_run(database, 7, "Start Training")
    assert claim(database, run.id)
    return get_run(database, run.id)


def carry_out(
    database: Database, folder: Path, steps: NoSteps, run: Run | None = None, rules: TriggerRules = RULES
) -> Run:
    """The run as it ends."""
    run = run or claimed(database)
    folder.mkdir(exist_ok=True)
    TrainingRun(database, run, folder, steps, rules).carry_out()
    return get_run(database, run.id)


def test_as_many_labels_as_are_needed_are_enough(database: Database, tmp_path: Path) -> None:
    steps = NoSteps()
    run = carry_out(database, tmp_path, steps)
    assert steps.done == ["labels", "train", "judge", "version", "promote p7-v1"]
    assert (run.state, run.reason, run.version, run.stage) == ("promoted", "As judged.", "p7-v1", "promoting")
    assert (run.accepted, run.snapshot_digest) == (10, "aaa")


def test_one_image_full_of_objects_is_enough_too(database: Database, tmp_path: Path) -> None:
    automatic = TriggerRules(every=None, minimum=FIRST, interval=None)
    full, other = NoSteps(labelled=1, objects=MANY_OBJECTS), NoSteps(labelled=1, objects=MANY_OBJECTS - 1)
    ended = carry_out(database, tmp_path / "2", other, rules=automatic)
    assert (ended.state, other.done) == ("failed", ["labels"])
    assert carry_out(database, tmp_path / "1", full, rules=automatic).state == "promoted"
    asked_for_more = NoSteps(labelled=9, objects=MANY_OBJECTS)
    ended = carry_out(database, tmp_path / "3", asked_for_more)
    assert (ended.state, asked_for_more.done) == ("failed", []), "nothing is read for nothing"


def test_a_rejected_candidate_is_a_version_and_is_not_promoted(database: Database, tmp_path: Path) -> None:
    steps = NoSteps(promoted=False)
    run = carry_out(database, tmp_path, steps)
    assert (run.state, run.version, steps.done[-1]) == ("rejected", "p7-v1", "version")


def test_what_was_judged_is_not_trained_again(database: Database, tmp_path: Path) -> None:
    first, again = NoSteps(), NoSteps()
    run = claimed(database)
    first.make_version = lambda *_: (_ for _ in ()).throw(StoreError("the disk is full"))  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        carry_out(database, tmp_path, first, run)
    ended = carry_out(database, tmp_path, again, get_run(database, run.id))
    assert (ended.state, again.done) == ("promoted", ["version", "promote p7-v1"])


def test_the_same_labels_again_are_nothing_new_and_other_ones_are(database: Database, tmp_path: Path) -> None:
    first = carry_out(database, tmp_path / "1", NoSteps())
    same = carry_out(database, tmp_path / "2", NoSteps())
    assert (same.state, same.reason) == ("cancelled", f"nothing new since run {first.id}")
    assert carry_out(database, tmp_path / "3", NoSteps(digest="bbb")).state == "promoted"


def test_progress_is_noted_once_a_second_and_at_the_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(training_run, "time", SimpleNamespace(monotonic=lambda: clock.now))
    noted = []
    run = claimed(database)

    class Slow(NoSteps):
        def train(self, digest: str, on_progress: OnProgress) -> None:
            for step, seconds in ((1, 0.9), (2, 0.1), (3, 0.9), (4, 0.2), (5, 0.0)):
                clock.now += seconds
                on_progress(step, 5, 5.0 - step)
                noted.append(get_run(database, run.id).step)
            now = get_run(database, run.id)
            assert (now.stage, now.steps, now.seconds_left) == ("training", 5, 0.0)

    assert carry_out(database, tmp_path, Slow(), run).state == "promoted"
    assert noted == [0, 2, 2, 4, 5]
