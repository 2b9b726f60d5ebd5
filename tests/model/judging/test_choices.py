"""Choices on the hold-out: clicks as a person makes them, and which candidate's heads may serve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from choice_data import COLOURS, THINGS, WEATHER, Glance, chosen_snapshot, glance, weather

from fbnetv3.classification.fitting import fit_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.judging import (
    ChoiceOutcome,
    HeadJudgement,
    HeadsJudgement,
    clicks_saved,
    decide_heads,
    judge_heads,
)

#: The first of four statistics of six channels: the mean of each colour.
MEANS = np.eye(3, 24)


def by_colour(
    name: str, classes: Sequence[str], multi_label: bool, colours: Sequence[str], sure: float = 50.0
) -> LinearHead:
    """A head that sees each class where the colour at its place is the strongest; `sure` of it, or less."""
    rows = np.stack([2 * MEANS[list(COLOURS).index(colour)] - MEANS.sum(0) for colour in colours])
    spec = HeadSpec(name, tuple(classes), multi_label)
    return LinearHead(spec, (sure * rows).astype(np.float32), np.zeros(len(classes), np.float32))


RIGHT = by_colour("weather", ["red", "green", "blue"], False, ["red", "green", "blue"])


class TestJudging:
    def one(self, folder: Path, head: LinearHead | None, threshold: float | None = None) -> HeadJudgement:
        snapshot = chosen_snapshot(folder, [], [*weather("red", "green", "blue"), ("red", None)])
        thresholds = None if threshold is None else {"weather": threshold}
        [judged] = judge_heads(glance(), [head] if head else [], snapshot, thresholds).heads
        return judged

    def test_a_right_suggestion_takes_no_click(self, tmp_path: Path) -> None:
        judged = self.one(tmp_path, RIGHT)
        assert judged.outcomes == (*[ChoiceOutcome(1, 1, 0)] * 3, None)
        assert [judged.images, judged.accuracy, judged.clicks_per_image, judged.clicks_without] == [
            3,
            1,
            0,
            1,
        ]

    def test_a_wrong_one_takes_one_click(self, tmp_path: Path) -> None:
        judged = self.one(tmp_path, by_colour("weather", [*COLOURS], False, ["green", "red", "blue"]))
        assert [one.wrong for one in judged.labelled] == [1, 1, 0]
        assert judged.clicks_per_image == pytest.approx(2 / 3)

    def test_so_does_a_missing_one(self, tmp_path: Path) -> None:
        judged = self.one(tmp_path, None)
        assert judged.clicks_per_image == 1 and not judged.known

    @pytest.mark.parametrize(("threshold", "accuracy"), [(None, 0), (0.34, 1)])
    def test_what_is_not_likely_enough_is_not_suggested(
        self, threshold: float | None, accuracy: float, tmp_path: Path
    ) -> None:
        unsure = by_colour("weather", [*COLOURS], False, [*COLOURS], sure=0.1)
        judged = self.one(tmp_path, unsure, threshold)
        assert judged.accuracy == accuracy and [one.wrong for one in judged.labelled] == [0, 0, 0]

    def test_heads_and_classes_are_matched_by_name(self, tmp_path: Path) -> None:
        """Serving knows two of the classes in another order, and one that is gone from the config."""
        old = by_colour("weather", ["gone", "blue", "red"], False, ["green", "blue", "red"])
        other = by_colour("sky", ["red"], True, ["red"])
        snapshot = chosen_snapshot(tmp_path, [], weather("red", "green", "blue"))
        [judged] = judge_heads(glance(), [other, old], snapshot).heads
        assert judged.outcomes == (ChoiceOutcome(1, 1, 0), ChoiceOutcome(1, 0, 0), ChoiceOutcome(1, 1, 0))

    def test_of_a_multiple_choice_every_class_to_switch_is_a_click(self, tmp_path: Path) -> None:
        head = by_colour("things", ["bright", "dark"], True, ["green", "blue"])
        chosen = [["bright"], ["dark"], [], ["bright", "dark"]]
        holdout = [("green", {"things": classes}) for classes in chosen]
        snapshot = chosen_snapshot(tmp_path, [], holdout, [THINGS])
        [judged] = judge_heads(glance(), [head], snapshot).heads
        assert [judged.clicks(one) for one in judged.labelled] == [0, 2, 1, 1]
        assert judged.clicks_without == 1 and judged.accuracy == 0.25

    def test_only_images_with_choices_are_looked_at_and_all_keep_their_place(self, tmp_path: Path) -> None:
        holdout = [("red", None), *weather("green"), ("blue", {"things": []})]
        snapshot = chosen_snapshot(tmp_path, [], holdout, [WEATHER, THINGS])
        detector, looks = Glance(), []
        judged = judge_heads(detector, [RIGHT], snapshot, on_image=lambda: looks.append(None))  # type: ignore[arg-type]
        assert len(detector.seen) == len(looks) == 1
        assert [[o is not None for o in head.outcomes] for head in judged.heads] == [
            [False, True, False],
            [False, False, True],
        ]
        assert HeadsJudgement.from_dict(json.loads(json.dumps(judged.as_dict()))) == judged


def judged(
    *rights: int | None, name: str = "weather", known: bool = True, wrong: bool = True
) -> HeadsJudgement:
    """A single choice: 1 a right suggestion, 0 a wrong one (none with `wrong` false), None not labelled."""
    outcomes = tuple(
        None if right is None else ChoiceOutcome(1, right, int(wrong and not right)) for right in rights
    )
    return HeadsJudgement((HeadJudgement(name, False, known, outcomes),))


def multiple(*outcomes: ChoiceOutcome) -> HeadsJudgement:
    return HeadsJudgement((HeadJudgement("things", True, True, outcomes),))


def both(*parts: HeadsJudgement) -> HeadsJudgement:
    return HeadsJudgement(tuple(head for part in parts for head in part.heads))


NOBODY = judged(*[0] * 10, known=False, wrong=False)


class TestDecision:
    def test_better_on_most_images(self) -> None:
        decision = decide_heads(judged(*[1] * 8, 0, 0), judged(*[1] * 4, *[0] * 6))
        assert decision.promoted and not decision.worse
        assert decision.reason == (
            "Better: +0.40 clicks saved per image on 10 labelled for choices, weather right without a click 40% -> 80%."
        )

    @pytest.mark.parametrize("count", [3, 10])
    def test_equal_is_neither(self, count: int) -> None:
        decision = decide_heads(judged(*[1] * count), judged(*[1] * count))
        assert (
            not decision.promoted and not decision.worse and decision.reason.startswith("Not better: +0.00")
        )

    def test_a_gain_that_may_be_chance_is_neither(self) -> None:
        decision = decide_heads(judged(1, 1, 0, *[1] * 7), judged(0, 0, 1, *[1] * 7))
        assert not decision.promoted and not decision.worse and "Perhaps chance" in decision.reason

    def test_a_loss_that_may_be_chance_is_neither(self) -> None:
        decision = decide_heads(judged(0, *[1] * 11), judged(*[1] * 12))
        assert not decision.promoted and not decision.worse

    def test_a_clear_loss_is_worse(self) -> None:
        decision = decide_heads(judged(0, 0, 0, *[1] * 9), judged(*[1] * 12))
        assert decision.worse and not decision.promoted and decision.reason.startswith("weather is worse")

    @pytest.mark.parametrize(("lost", "worse"), [(2, False), (3, True)])
    def test_a_click_in_twenty_images_may_be_lost(self, lost: int, worse: bool) -> None:
        """Of forty; chance makes neither likely."""
        decision = decide_heads(judged(*[0] * lost, *[1] * (40 - lost)), judged(*[1] * 40))
        assert decision.worse == worse

    def test_no_choice_may_be_given_up_for_another(self) -> None:
        gain, loss = (
            (judged(*[1] * 12), judged(*[0] * 12)),
            (judged(0, 0, 0, *[1] * 9, name="sky"), judged(*[1] * 12, name="sky")),
        )
        decision = decide_heads(both(gain[0], loss[0]), both(gain[1], loss[1]))
        assert decision.worse and decision.reason.startswith("sky is worse: +0.75 clicks saved")

    def test_a_head_that_could_not_be_learnt_again_is_missed(self) -> None:
        assert decide_heads(NOBODY, judged(*[1] * 10)).worse


class TestFewImages:
    def test_most_must_improve_and_none_may_be_lost(self) -> None:
        assert decide_heads(judged(1, 1, 0), judged(0, 1, 0)).promoted
        assert not decide_heads(judged(1, 0, 0), judged(0, 1, 0)).promoted
        assert decide_heads(judged(0, 1, 0), judged(1, 1, 0)).worse

    @pytest.mark.parametrize(("count", "objection"), [(7, "Not better on most"), (8, "Perhaps chance")])
    def test_from_eight_on_the_bootstrap_decides(self, count: int, objection: str) -> None:
        """Gains of two clicks and of one, and two losses of one."""
        after = [ChoiceOutcome(2, 2, 0)] * 2 + [ChoiceOutcome(2, 1, 0)] * (count - 2)
        before = [ChoiceOutcome(2, 0, 0)] + [ChoiceOutcome(2, 1, 0)] + [ChoiceOutcome(2, 2, 0)] * 2
        before += [ChoiceOutcome(2, 1, 0)] * (count - 4)
        decision = decide_heads(*(multiple(*one) for one in (after, before)))
        assert not decision.promoted and decision.reason.startswith(objection)

    def test_images_that_are_not_labelled_do_not_count(self) -> None:
        rest = [None] * 20
        assert decide_heads(judged(1, 1, *rest), judged(0, 1, *rest)).promoted
        assert "on 2 labelled" in decide_heads(judged(1, 1, *rest), judged(0, 1, *rest)).reason


class TestNothingServes:
    def test_suggestions_must_be_right_more_often_than_wrong(self) -> None:
        for serving in (None, NOBODY):
            assert decide_heads(judged(*[1] * 8, 0, 0), serving).promoted
            coin = decide_heads(judged(*[1] * 5, *[0] * 5), serving)
            assert not coin.promoted and not coin.worse
            assert decide_heads(judged(*[1] * 2, *[0] * 8), serving).worse

    def test_few_but_right_suggestions_help(self) -> None:
        assert decide_heads(judged(1, 1, *[0] * 8, wrong=False), None).promoted

    def test_a_new_choice_beside_one_that_serves(self) -> None:
        same, new = judged(*[1] * 10), judged(*[1] * 9, 0, name="sky")
        serving = both(same, judged(*[0] * 10, name="sky", known=False, wrong=False))
        decision = decide_heads(both(same, new), serving)
        assert decision.promoted and "weather right without a click 100% -> 100%, sky" in decision.reason


class TestNoHeldOutImages:
    def test_only_the_first_heads_pass(self) -> None:
        nobody, first = judged(None, None), judged(None, None, known=False)
        assert decide_heads(nobody, None).promoted and decide_heads(nobody, first).promoted
        decision = decide_heads(nobody, nobody)
        assert not decision.promoted and not decision.worse and decision.reason.startswith("Not judged")
        assert not decide_heads(first, None).promoted
        assert not decide_heads(HeadsJudgement(()), None).promoted


def test_other_images_cannot_be_compared() -> None:
    for serving in (judged(1, None), judged(1, 1, name="sky"), judged(1, 1, 1), HeadsJudgement(())):
        with pytest.raises(ValueError, match=r"same images|shorter|longer|broadcast"):
            decide_heads(judged(1, 1), serving)


def test_saved_clicks_are_those_of_all_choices_image_by_image() -> None:
    candidate = both(judged(1, 0, None), judged(1, None, None, name="sky"))
    serving = both(judged(0, 1, None), judged(0, None, None, name="sky"))
    assert clicks_saved(candidate, serving).tolist() == [2, -1, 0]


def test_from_labels_to_a_decision(tmp_path: Path) -> None:
    """Few labels, then more: each version is better than what served before."""
    colours = ["red", "green", "blue"] * 8
    holdout = weather(*colours[:12])
    snapshot = chosen_snapshot(tmp_path, weather(*colours), holdout)
    judgement = judge_heads(glance(), fit_heads(glance(), snapshot), snapshot)
    assert judgement.heads[0].accuracy == 1 and decide_heads(judgement, None).promoted
    swapped = by_colour("weather", ["red", "green", "blue"], False, ["green", "red", "blue"])
    assert decide_heads(judgement, judge_heads(glance(), [swapped], snapshot)).promoted
