"""What a version's row keeps as JSON is read as it was written, by this release and by those before it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from fbnetv3.judging import (
    Calibration,
    ChoiceOutcome,
    HeadJudgement,
    HeadsJudgement,
    ImageOutcome,
    Judgement,
    ScoredRegion,
)
from prelabel.store.database import Database
from prelabel.store.version_details import Provenance, StoredHeads, VersionJudgement, VersionPlan
from prelabel.store.versions import NewVersion, VersionRow, add_version, find_version
from prelabel.training.training_run import CandidateEvaluation

OBJECTS = Judgement(
    1, 2, 0.5, 0.25, None, None, 0.5, 1.0, (ImageOutcome(2, 1, 1, 1),), (ScoredRegion(0.9, True),)
)
SERVING = Judgement(1, 2, 0.25, 0.125, 0.5, 0.25, 0.0, 0.0, (ImageOutcome(2, 0, 0, 0, 1, 0, 0),))
CHOICES, SERVING_CHOICES = (
    HeadsJudgement((HeadJudgement("tone", False, True, (ChoiceOutcome(1, right, 1 - right), None)),))
    for right in (1, 0)
)
PLAN = VersionPlan(
    {"epochs": 3.0, "steps": 90, "anchor_sizes": [[32.0, 64.0]], "reasons": {"epochs": "90 steps"}},
    Provenance("p7-v1", 60, 12.5),
    Calibration(0.5, -1.0, 40),
    StoredHeads({"tone": ("red", "blue")}, "abc"),
    {"bolt": 0.45, "nut": 1.01},
)


@pytest.mark.parametrize(
    "judgement",
    [
        VersionJudgement(),
        VersionJudgement(OBJECTS),
        VersionJudgement(OBJECTS, SERVING),
        VersionJudgement(choices=CHOICES),
        VersionJudgement(OBJECTS, SERVING, CHOICES, SERVING_CHOICES),
    ],
)
@pytest.mark.parametrize(
    "plan", [VersionPlan(), PLAN, VersionPlan(provenance=Provenance(weights="coco-0123"))]
)
def test_what_is_stored_comes_back(
    judgement: VersionJudgement, plan: VersionPlan, database: Database
) -> None:
    new = NewVersion(7, 1, None, "digest", None, "snapshot", ("bolt",), judgement, plan, "Better.")
    stored = add_version(database, new)
    assert (stored.judgement, stored.plan) == (judgement, plan)
    assert find_version(database, "p7-v1") == stored

    evaluation = CandidateEvaluation(True, "Better.", judgement, plan)
    assert CandidateEvaluation.from_dict(json.loads(json.dumps(evaluation.as_dict()))) == evaluation


OLD_PLAN: dict[str, Any] = {
    "frozen_stages": 2,
    "steps": 80,
    "a choice that is made no more": 1,
    "start": "starter-0123456789ab",
    "steps_taken": 60,
    "train_seconds": 12.5,
}
OLD_JUDGEMENT: dict[str, Any] = {
    "images": 1,
    "objects": 2,
    "box_AP50": 0.5,
    "box_AP": 0.25,
    "mask_AP50": None,
    "mask_AP": None,
    "no_edit_share": 0.5,
    "false_positives_per_image": 1.0,
    "outcomes": [{"objects": 2, "no_edit": 1, "found": 1, "false_positives": 1}],
    "serving": None,
}


def test_a_row_of_an_older_release_is_read(database: Database) -> None:
    """From before there were calibrations, choices and outlines, and with a choice that no plan has any more."""
    empty = NewVersion(7, 1, 3, "d", None, "s", ("bolt",), VersionJudgement(), VersionPlan(), "Better.")
    add_version(database, empty)
    with database.session() as session:
        session.execute(update(VersionRow).values(judgement=OLD_JUDGEMENT, plan=OLD_PLAN))
    version = find_version(database, "p7-v1")
    assert version is not None
    plan, judgement = version.plan, version.judgement
    assert (plan.provenance.start, plan.provenance.steps_taken) == ("starter-0123456789ab", 60)
    assert plan.fine_tuning["a choice that is made no more"] == 1
    assert (plan.calibration, plan.choices, plan.thresholds) == (None, None, {})
    assert judgement.objects is not None
    assert judgement.objects.outcomes == (ImageOutcome(2, 1, 1, 1),)
    assert (judgement.objects.regions, judgement.objects.thresholds) == ((), {})
    assert (judgement.serving, judgement.choices) == (None, None)
    assert plan.as_dict() == OLD_PLAN
    assert OLD_JUDGEMENT.keys() <= judgement.as_dict().keys()


def test_figures_of_a_later_release_are_left_out() -> None:
    later = OLD_JUDGEMENT | {"boundary_AP": 0.1, "outcomes": [OLD_JUDGEMENT["outcomes"][0] | {"merged": 1}]}
    assert VersionJudgement.from_dict(later) == VersionJudgement.from_dict(OLD_JUDGEMENT)
    calibration = {"slope": 0.5, "offset": 0.0, "regions": 9, "method": "isotonic"}
    assert VersionPlan.from_dict({"calibration": calibration}).calibration == Calibration(0.5, 0.0, 9)


def test_an_older_release_finds_everything_where_it_looks() -> None:
    """It reads dictionaries, by these keys."""
    plan = json.loads(json.dumps(PLAN.as_dict()))
    assert plan["steps"] == 90 and plan["start"] == "p7-v1"
    assert plan["calibration"] == {"slope": 0.5, "offset": -1.0, "regions": 40}
    assert plan["thresholds"] == {"bolt": 0.45, "nut": 1.01}
    assert plan["choices"] == {"heads": {"tone": ["red", "blue"]}, "sha256": "abc"}
    assert "weights" not in plan, "its presence says that nothing was trained"
    judgement = VersionJudgement(OBJECTS, SERVING, CHOICES, SERVING_CHOICES).as_dict()
    assert (judgement["box_AP50"], judgement["serving"]["box_AP50"]) == (0.5, 0.25)
    assert judgement["choices"]["heads"][0]["accuracy"] == 1.0
    assert judgement["choices"]["serving"]["heads"][0]["accuracy"] == 0.0


@pytest.mark.parametrize(
    "judgement", [{"box_AP50": 0.5}, {"outcomes": 3}, {"choices": {"heads": 3}}, {"choices": 7}]
)
def test_figures_that_cannot_be_read_cost_a_version_its_figures_only(judgement: dict[str, Any]) -> None:
    assert VersionJudgement.from_dict(judgement) == VersionJudgement()
