"""Objects and choices of one run: on whose features choices are learnt, and what the two decisions make together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fbnetv3.judging import ChoicesDecision, GateDecision, HeadsJudgement
from fbnetv3.judging.choice_learning import CANDIDATE, LearntChoices, is_promoted, learn_choices, reason_of

BETTER, EQUAL, WORSE = (
    ChoicesDecision(True, "Better.", worse=False),
    ChoicesDecision(False, "Equal.", worse=False),
    ChoicesDecision(False, "Worse.", worse=True),
)


class Learning:
    """Learnt by decree: decisions by the version of the detector."""

    def __init__(self, **decisions: ChoicesDecision | None) -> None:
        self.serving: Any = SimpleNamespace(version="serving")
        self._decisions = decisions

    def on(self, detector: Any) -> LearntChoices:
        decision = self._decisions[detector.version]
        assert decision is not None, "not to be learnt there"
        return LearntChoices(detector.version, (), decision, HeadsJudgement(()), None)


@pytest.mark.parametrize(
    ("objects", "on_candidate", "on_serving", "promoted", "weights"),
    [
        (True, BETTER, None, True, [CANDIDATE]),
        (True, EQUAL, None, True, [CANDIDATE]),
        (True, WORSE, BETTER, True, [CANDIDATE, "serving"]),
        (True, WORSE, EQUAL, False, [CANDIDATE, "serving"]),
        (False, None, BETTER, True, ["serving"]),
        (False, None, EQUAL, False, ["serving"]),
        (False, None, WORSE, False, ["serving"]),
        (None, None, BETTER, True, ["serving"]),
        (None, None, EQUAL, False, ["serving"]),
    ],
)
def test_one_part_better_and_none_worse(
    objects: bool | None,
    on_candidate: ChoicesDecision | None,
    on_serving: ChoicesDecision | None,
    promoted: bool,
    weights: list[str],
) -> None:
    learning: Any = Learning(candidate=on_candidate, serving=on_serving)
    decision = None if objects is None else GateDecision(objects, "As judged.")
    candidate: Any = SimpleNamespace(version=CANDIDATE)
    tried = learn_choices(learning, decision, lambda: candidate)
    assert [one.weights for one in tried] == weights
    assert is_promoted(decision, tried) == promoted


def test_without_choices_the_objects_decide() -> None:
    for promoted in (True, False):
        decision = GateDecision(promoted, "As judged.")
        assert (is_promoted(decision, []), reason_of(decision, [])) == (promoted, "As judged.")
    assert not is_promoted(None, [])


def test_the_reason_names_both_parts_and_whose_weights() -> None:
    worse, better = (
        LearntChoices(weights, (), decision, HeadsJudgement(()), None)
        for weights, decision in ((CANDIDATE, WORSE), ("p7-v1", BETTER))
    )
    assert reason_of(None, [better]) == "Better."
    assert reason_of(GateDecision(True, "Saves."), [worse, better]) == (
        "Objects: Saves. Choices with these weights: Worse. Choices with the serving weights: Better."
    )
