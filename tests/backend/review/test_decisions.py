"""What is decided about a finding, and how long that holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from review_samples import finding, overlooked, subjects

from fbnetv3.review import LabelIssue
from prelabel.review.decisions import (
    DECISIONS,
    FINDINGS,
    FolderMemory,
    Memory,
    Remembered,
    StoreMemory,
    with_decisions,
)
from prelabel.review.findings import ReviewError, ReviewFinding
from prelabel.review.review import described
from prelabel.review.subjects import Subjects
from prelabel.store.database import Database

BOX = (10.0, 10.0, 50.0, 40.0)


@pytest.fixture(params=["store", "folder"])
def memory(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Memory:
    return StoreMemory(database, 7) if request.param == "store" else ReportedMemory(tmp_path)


class ReportedMemory(FolderMemory):
    """Writes the report that a command would write."""

    def keep(self, findings: list[ReviewFinding]) -> None:  # type: ignore[override]
        records = {"findings": [one.as_dict() for one in findings]}
        (self.folder / FINDINGS).write_text(json.dumps(records))


def test_a_dismissed_finding_does_not_come_back(memory: Memory) -> None:
    found = [finding(), finding("spurious")]
    memory.keep(found)
    memory.decide(found[0].id, "dismissed")
    again = with_decisions(found, memory.recall(), subjects(BOX))
    assert [one.kind for one in again] == ["spurious"]
    memory.keep(again)
    assert with_decisions(found, memory.recall(), subjects(BOX)) == again, "nor the time after"


def test_what_nobody_found_cannot_be_decided_about(memory: Memory) -> None:
    memory.keep([finding()])
    with pytest.raises(ReviewError, match="has no finding 'abc'"):
        memory.decide("abc", "accepted")


def test_a_decision_can_be_changed(memory: Memory) -> None:
    found = finding()
    memory.keep([found])
    memory.decide(found.id, "dismissed")
    memory.keep([])
    memory.decide(found.id, "accepted")
    assert memory.recall()[found.id].decision == "accepted"


def test_projects_do_not_share_decisions(database: Database) -> None:
    StoreMemory(database, 7).keep([finding()])
    StoreMemory(database, 8).keep([])
    assert list(StoreMemory(database, 7).recall()) == [finding().id]
    with pytest.raises(ReviewError):
        StoreMemory(database, 8).decide(finding().id, "accepted")


@pytest.mark.parametrize("found_again", [True, False])
def test_an_accepted_finding_stays_until_the_label_is_corrected(found_again: bool) -> None:
    here = subjects((60, 60, 90, 90), BOX)
    accepted = described(here, LabelIssue("swapped_label", 0.8, 0, (1,), "box"))
    remembered = {accepted.id: Remembered(accepted, "accepted")}
    found = [replace(accepted, confidence=0.6)] if found_again else []
    [shown] = with_decisions(found, remembered, here)
    assert (shown.id, shown.decision, shown.objects) == (accepted.id, "accepted", (1,))
    for corrected in (subjects((60, 60, 90, 90), BOX, label=1), subjects((60, 60, 90, 90), (11, 10, 50, 40))):
        assert with_decisions([], remembered, corrected) == []


def test_the_id_follows_the_label_and_not_the_suggestion() -> None:
    def id_of(objects: Subjects, kind: str = "swapped_label", label: str = "box", number: int = 0) -> str:
        return described(objects, LabelIssue(kind, 0.8, 0, (number,), label)).id  # type: ignore[arg-type]

    first = id_of(subjects(BOX))
    assert id_of(subjects(BOX), label="disc") == first
    assert id_of(subjects((60, 60, 90, 90), BOX), number=1) == first, "another object makes no difference"
    others = [
        id_of(subjects(BOX), "spurious"),
        id_of(subjects(BOX, label=1)),
        id_of(subjects((10, 10, 50, 41))),
    ]
    assert len({first, *others}) == 4


def test_what_was_overlooked_is_the_same_where_another_version_draws_it_a_little_elsewhere() -> None:
    dismissed = overlooked(BOX)
    remembered = {dismissed.id: Remembered(dismissed, "dismissed")}
    near, far = overlooked((12.0, 11.0, 53.0, 40.0)), overlooked((60.0, 10.0, 100.0, 40.0))
    elsewhere = overlooked(BOX, task=4)
    shown = with_decisions([near, far, elsewhere], remembered, subjects())
    assert [one.id for one in shown] == [far.id, elsewhere.id]
    undecided = {dismissed.id: Remembered(dismissed, None)}
    assert [one.id for one in with_decisions([near], undecided, subjects())] == [dismissed.id]


def test_what_was_overlooked_and_accepted_stays_until_it_is_labelled() -> None:
    accepted = overlooked(BOX)
    remembered = {accepted.id: Remembered(accepted, "accepted")}
    assert [one.id for one in with_decisions([], remembered, subjects((60, 60, 90, 90)))] == [accepted.id]
    assert with_decisions([], remembered, subjects((12, 12, 50, 41))) == []


def test_findings_survive_json() -> None:
    for one in (finding(), overlooked(BOX), finding(task=None)):
        assert ReviewFinding.from_dict(json.loads(json.dumps(one.as_dict()))) == one


def test_json_calls_the_image_a_place_as_docs_review_says() -> None:
    assert finding().as_dict()["place"] == {"file": "a.png", "task": 3, "image_key": "image"}
    assert list(finding().as_dict())[3:6] == ["source", "place", "made_in"]


@pytest.mark.parametrize("content", ["[]", "nothing"])
def test_a_damaged_file_of_decisions_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / DECISIONS).write_text(content)
    with pytest.raises(ReviewError, match=DECISIONS):
        FolderMemory(tmp_path).recall()
