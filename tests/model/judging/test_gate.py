"""The gate: each of its conditions alone, and how often it errs about detectors made of dice."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fbnetv3.judging import Effort, GateDecision, ImageOutcome, Judgement, ScoredRegion, gate

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from gate import CANDIDATES, SERVING, promoted


def decide(candidate: Judgement, serving: Judgement | None, effort: Effort = Effort()) -> GateDecision:  # noqa: B008
    return gate.decide(candidate, serving, effort)


def judged(*no_edit: int, ap50: float = 0.5, mask: float | None = None, alarms: int = 0) -> Judgement:
    """Images of ten boxes each, so many of them right and the rest missed."""
    outcomes = tuple(ImageOutcome(10, count, count, alarms) for count in no_edit)
    share = sum(no_edit) / max(10 * len(no_edit), 1)
    return Judgement(len(no_edit), 10 * len(no_edit), ap50, 0.3, mask, mask, share, alarms, outcomes)


TEN = judged(*[5] * 10)
BETTER = judged(*[6] * 10)
THREE = judged(5, 5, 5)


class TestDecide:
    def test_better_on_every_image(self):
        decision = decide(BETTER, TEN)
        assert decision.promoted
        assert (
            "5.0 s saved per image on 10 images" in decision.reason
        )  # a box checked (2 s) instead of drawn (7 s)
        assert "0.500 -> 0.600" in decision.reason

    @pytest.mark.parametrize("serving", [TEN, THREE], ids=["ten images", "three"])
    def test_equal_is_not_better(self, serving: Judgement):
        decision = decide(serving, serving)
        assert not decision.promoted and decision.reason.startswith("Not better")

    def test_worse(self):
        assert decide(TEN, BETTER).reason.startswith("Not better: -5.0 s")

    def test_seconds_decide_while_ap50_does_not_fall_far(self):
        """AP also counts regions that nobody is shown; but labels that were shuffled save time as well."""
        assert decide(replace(BETTER, box_AP50=0.31), TEN).promoted
        assert "AP50 falls below 60%" in decide(replace(BETTER, box_AP50=0.29), TEN).reason

    def test_where_the_seconds_are_about_the_same_ap50_decides(self):
        """10 objects of 7 s each: a fiftieth of drawing them is 1.4 s an image."""
        slightly_worse = replace(judged(*[5] * 8, 4, 4), box_AP50=0.51)
        assert decide(slightly_worse, TEN).promoted
        assert decide(slightly_worse, TEN).reason.startswith(
            "Hardly slower, and its regions are better: -1.0 s"
        )
        assert decide(replace(TEN, box_AP50=0.51), TEN).promoted
        assert not decide(replace(slightly_worse, box_AP50=0.5), TEN).promoted
        assert not decide(replace(judged(*[5] * 7, 4, 4, 4), box_AP50=0.59), TEN).promoted
        two = replace(judged(5, 5), box_AP50=1.0)
        assert not decide(two, judged(5, 5)).promoted, "AP50 of two images says nothing"

    def test_where_ap50_is_clearly_higher_more_time_is_allowed(self):
        """3 s an image of 70 s lost to deletions, while boxes and masks are found better by a fifth."""
        better = judged(*[6] * 6, *[5] * 4, ap50=0.6, mask=0.6, alarms=2)
        serving = replace(TEN, mask_AP50=0.5)
        assert decide(better, serving).promoted
        assert "-3.0 s saved" in decide(better, serving).reason
        assert not decide(replace(better, box_AP50=0.59), serving).promoted
        assert not decide(replace(better, mask_AP50=0.59), serving).promoted
        assert decide(replace(better, mask_AP50=None), TEN).promoted, "of boxes alone"
        assert not decide(judged(*[6] * 10, ap50=0.6, mask=0.6, alarms=3), serving).promoted, "5.7 %"

    def test_ap50_of_two_images_says_nothing(self):
        fallen = replace(BETTER, box_AP50=0.0)
        assert gate.decide(fallen, TEN, Effort(), ap_images=2).promoted
        assert not gate.decide(fallen, TEN, Effort(), ap_images=3).promoted

    def test_where_neither_shows_anything_of_use_ap50_decides(self):
        silent = replace(TEN, outcomes=(ImageOutcome(10, 0, 0, 0),) * 10, box_AP50=0.1)
        decision = decide(replace(silent, box_AP50=0.2), silent)
        assert decision.promoted and decision.reason.startswith("Neither finds an object surely enough")
        assert "finds none of the 100 labelled" in decide(silent, silent).reason

    @pytest.mark.parametrize(
        ("no_edit", "promoted"),
        [((9, 4, 4), True), ((8, 4, 4), True), ((7, 4, 4), False), ((6, 4, 4), False)],
    )
    def test_the_total_counts_not_how_many_images_gain(self, no_edit: tuple[int, ...], promoted: bool):
        """Two images lose two boxes together; the other gains four, three, two, one."""
        assert decide(judged(*no_edit), THREE).promoted == promoted

    def test_half_a_second_is_a_gain(self):
        """Boxes that cost 6.5 s to draw and 6 s to check: one more that is right gains half a second."""
        effort = Effort(check=6.0, draw_box=6.5)
        assert decide(judged(6, 5, 5), THREE, effort).promoted

    def test_alarms_count_against_it(self):
        assert decide(replace(BETTER, outcomes=judged(*[6] * 10, alarms=2).outcomes), TEN).promoted is False

    def test_seconds_are_those_of_the_effort_given(self):
        loud = judged(*[6] * 10, alarms=2)
        assert decide(loud, TEN, Effort(delete=0.1)).promoted

    def test_other_images_cannot_be_compared(self):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            decide(TEN, THREE)


class TestDrawingFromNothing:
    """What serves may be so bad that a candidate is better, and still costs more than no pre-labels at all."""

    BAD = judged(*[1] * 10, alarms=20)

    @pytest.mark.parametrize(("alarms", "promoted"), [(1, True), (2, False)])
    def test_no_candidate_may_cost_more(self, alarms: int, promoted: bool):
        """One box that is checked and not drawn saves 5 s; a deletion takes 3 s."""
        decision = decide(judged(*[1] * 10, alarms=alarms), self.BAD)
        assert decision.promoted == promoted
        assert promoted or decision.reason.startswith("Drawing from nothing takes less time: +54.0 s saved")

    def test_as_much_is_allowed(self):
        even = Effort(check=4.0, draw_box=7.0, delete=3.0)
        assert decide(judged(*[1] * 10, alarms=1), self.BAD, even).promoted


class TestFindsNothing:
    """Silence saves the deletions of false alarms, and must never serve."""

    SILENT = judged(*[0] * 10, ap50=0.0)

    @pytest.mark.parametrize("count", [3, 10])
    def test_it_is_rejected_whatever_it_saves(self, count: int):
        noisy = judged(*[0] * count, ap50=0.0, alarms=5)
        decision = decide(judged(*[0] * count, ap50=0.0), noisy)
        assert not decision.promoted
        assert f"finds none of the {10 * count} labelled objects: +15.0 s saved" in decision.reason

    def test_images_without_objects_show_nothing(self):
        empty, alarms = (
            Judgement(10, 0, 0.0, 0.0, None, None, 0.0, wrong, (ImageOutcome(0, 0, 0, wrong),) * 10)
            for wrong in (0, 3)
        )
        decision = decide(empty, alarms)
        assert not decision.promoted and "none of the 0 labelled objects" in decision.reason

    def test_where_nothing_serves(self):
        assert not decide(self.SILENT, None).promoted

    def test_one_that_finds_a_little_may_serve(self):
        assert decide(judged(*[1] * 10), judged(*[0] * 10, ap50=0.5)).promoted


class TestNothingServes:
    def test_it_must_beat_drawing_everything(self):
        assert decide(TEN, None).promoted
        decision = decide(judged(*[0] * 10), None)
        assert not decision.promoted and decision.reason.startswith("Not better")

    def test_it_must_be_right_more_often_than_wrong(self):
        """Deleting is so much cheaper than outlining that time alone would let it pass."""
        outcomes = tuple(
            ImageOutcome(10, 5, 5, 5, outlined=10, outlined_no_edit=5, outlined_found=5) for _ in range(9)
        )
        candidate = replace(TEN, images=9, outcomes=outcomes, box_AP50=0.59)
        assert "More of its regions are wrong than right" in decide(candidate, None).reason
        fewer_alarms = tuple(replace(outcome, false_positives=4) for outcome in outcomes)
        assert decide(replace(candidate, outcomes=fewer_alarms), None).promoted
        assert decide(replace(candidate, box_AP50=0.6), None).promoted, "a higher threshold would do"

    def test_a_lucky_threshold_is_not_enough(self):
        """Right at its operating point; from 0.3 on, where labels that were shuffled give themselves away, not."""
        usual = (*[ScoredRegion(0.5, True)] * 4, *[ScoredRegion(0.3, False)] * 5)
        assert "wrong than right" in decide(replace(TEN, regions=usual), None).reason
        assert decide(replace(TEN, regions=usual[:-1]), None).promoted
        assert decide(replace(TEN, regions=(*usual[:-1], ScoredRegion(0.29, False))), None).promoted
        assert decide(replace(TEN, regions=usual, box_AP50=0.6), None).promoted


class TestNoImages:
    def test_only_the_first_version_passes(self):
        nobody = judged()
        assert decide(nobody, None).promoted
        assert not decide(nobody, nobody).promoted


@pytest.mark.parametrize("images", [5, 10])
class TestErrors:
    """benchmarks/gate.py measures these shares with more trials; docs/gate.md has them."""

    def test_shuffled_labels_seldom_pass(self, images: int):
        """They find more objects than what serves, and guess what these are."""
        assert promoted(CANDIDATES["shuffled labels"], SERVING, images, trials=15) <= 0.2

    def test_a_worse_one_passes_less_often_than_one_that_is_equal(self, images: int):
        worse, equal = (promoted(CANDIDATES[name], SERVING, images, trials=15) for name in ("worse", "equal"))
        assert worse + 0.2 < equal

    def test_shuffled_labels_do_not_pass_as_a_first_version(self, images: int):
        assert promoted(CANDIDATES["shuffled labels"], None, images, trials=15) <= 0.07

    def test_a_much_better_candidate_passes(self, images: int):
        assert promoted(CANDIDATES["much better"], SERVING, images, trials=15) >= 0.8
