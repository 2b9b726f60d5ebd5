"""The operating point: every label's own evidence, that of the others, and the default."""

from __future__ import annotations

import numpy as np
import pytest
from judgement_samples import HERE, THERE, UNKNOWN, Examples, Scripted, example, found, whole

from fbnetv3.data.examples import Example
from fbnetv3.instances import Instances
from fbnetv3.judging import (
    NOTHING,
    THRESHOLDS,
    Effort,
    findings_of,
    judge,
    judgement_of,
    operating_point,
    seconds_with,
    seconds_without,
)
from fbnetv3.judging.findings import ImageFindings
from fbnetv3.judging.operating_point import IN_WEIGHTS, Curves, thresholds_of

BESIDE = (100, 60, 140, 95)


def seen(answers: list[Instances], examples: list[Example], has_masks: bool = False) -> list[ImageFindings]:
    return findings_of(Scripted(answers, has_masks=has_masks), Examples(tuple(examples)))  # type: ignore[arg-type]


def point(findings: list[ImageFindings], default: float = 0.3, effort: Effort = Effort()) -> dict[str, float]:  # noqa: B008
    return operating_point(findings, ("bolt", "nut"), effort, default)


def bolts(right: float, wrong: float, count: int, masks: bool = False) -> list[ImageFindings]:
    """Images with one bolt that is found with the score `right`, and a false alarm that scores `wrong`."""
    outlines = (whole(HERE), whole(BESIDE)) if masks else None
    answer = found(("bolt", HERE, right), ("bolt", BESIDE, wrong), masks=outlines)
    truth = example(("bolt", HERE), masks=(whole(HERE),) if masks else None)
    return seen([answer] * count, [truth] * count, has_masks=masks)


def test_without_images_all_is_the_default() -> None:
    assert point([]) == {"bolt": 0.3, "nut": 0.3}
    assert point(seen([found()], [example()]), 0.37) == {"bolt": 0.37, "nut": 0.37}


def test_between_right_and_wrong_regions() -> None:
    assert 0.6 < point(bolts(0.8, 0.6, 10))["bolt"] <= 0.8
    assert point(bolts(0.2, 0.1, 10))["bolt"] == 0.2, "lower than the default where right regions score low"


def test_a_label_whose_regions_are_mostly_wrong_gets_a_high_threshold() -> None:
    answer = found(("bolt", HERE, 0.9), ("bolt", BESIDE, 0.8), ("nut", THERE, 0.7))
    thresholds = point(seen([answer] * 10, [example(("bolt", HERE), ("nut", THERE))] * 10))
    assert 0.8 < thresholds["bolt"] <= 0.9 and thresholds["nut"] <= 0.7


def test_nothing_is_shown_where_all_costs_more() -> None:
    answer = found(("nut", BESIDE, 0.99), ("bolt", HERE, 0.9))
    findings = seen([answer] * 20, [example(("bolt", HERE), ("nut", THERE))] * 20)
    thresholds = point(findings)
    assert thresholds["nut"] == NOTHING > 1 and thresholds["bolt"] <= 0.9
    judged = judgement_of(findings, ("bolt", "nut"), thresholds)
    assert judged.false_positives_per_image == 0
    assert seconds_with(judged.outcomes) <= seconds_without(judged.outcomes)


def test_a_little_evidence_moves_little() -> None:
    """One false alarm on one image that has ten right regions below it."""
    places = [(20.0 * i, 0.0, 20.0 * i + 15, 15.0) for i in range(10)]
    answer = found(*(("bolt", place, 0.32) for place in places[1:]), ("bolt", BESIDE, 0.31))
    truth = example(*(("bolt", place) for place in places))
    assert point(seen([answer], [truth]))["bolt"] == 0.3


def test_outlines_are_worth_more_deletions_than_boxes() -> None:
    """Three false alarms for one object that is found."""

    def images(masks: bool) -> list[ImageFindings]:
        answer = found(
            ("bolt", HERE, 0.5),
            *(("bolt", BESIDE, 0.6),) * 3,
            masks=(whole(HERE), *(whole(BESIDE),) * 3) if masks else None,
        )
        truth = example(("bolt", HERE), masks=(whole(HERE),) if masks else None)
        return seen([answer] * 10, [truth] * 10, has_masks=masks)

    assert point(images(masks=False))["bolt"] > 0.6
    assert point(images(masks=True))["bolt"] <= 0.5


def test_below_the_default_no_more_may_be_wrong_than_right() -> None:
    """Outlines, of which a person would delete twice as many as are kept, and would still save seconds."""

    def images(wrong: int) -> list[ImageFindings]:
        alarms = [("bolt", BESIDE, 0.2)] * wrong
        answer = found(("bolt", HERE, 0.2), *alarms, masks=(whole(HERE), *(whole(BESIDE),) * wrong))
        return seen([answer] * 10, [example(("bolt", HERE), masks=(whole(HERE),))] * 10, has_masks=True)

    assert point(images(wrong=1))["bolt"] == 0.2
    assert point(images(wrong=2))["bolt"] == 0.3
    assert point(images(wrong=2), default=0.1)["bolt"] == 0.1


def test_a_label_without_objects_follows_the_others() -> None:
    assert point(bolts(0.8, 0.6, 10))["nut"] == point(bolts(0.8, 0.6, 10))["bolt"]


def test_a_label_with_evidence_of_its_own_does_not() -> None:
    answer = found(("bolt", HERE, 0.9), ("bolt", BESIDE, 0.7), ("nut", THERE, 0.2))
    thresholds = point(seen([answer] * 20, [example(("bolt", HERE), ("nut", THERE))] * 20))
    assert thresholds["nut"] <= 0.2 and thresholds["bolt"] > 0.7


def test_the_seconds_decide() -> None:
    assert point(bolts(0.8, 0.6, 10), effort=Effort(check=100))["bolt"] > 0.8


def test_without_each_leaves_that_image_out() -> None:
    findings = bolts(0.8, 0.6, 5) + bolts(0.2, 0.1, 1)
    points = Curves.of([one.of_label for one in findings], ("bolt", "nut"), Effort(), 0.3).best_without_each()
    assert points == [point(findings[:i] + findings[i + 1 :]) for i in range(6)]
    assert Curves.of([], ("bolt",), Effort(), 0.3).best_without_each() == []


class TestFindings:
    def test_at_every_threshold_as_if_it_were_judged_so(self) -> None:
        answers = [
            found(("bolt", HERE, 0.9), ("nut", THERE, 0.5), ("nut", HERE, 0.3)),
            found(("bolt", (12, 10, 50, 50), 0.7), ("bolt", HERE, 0.6), ("nut", (100, 10, 130, 50), 0.2)),
        ]
        images = Examples((example(("bolt", HERE), ("nut", THERE)), example(("bolt", HERE), ("nut", THERE))))
        findings = seen(answers, list(images.examples))
        for threshold in (*THRESHOLDS, 0.37, NOTHING):
            directly = judge(Scripted(answers), images, threshold)  # type: ignore[arg-type]
            assert judgement_of(findings, images.labels, threshold) == directly
            assert directly.thresholds == {"bolt": threshold, "nut": threshold}

    def test_findings_of_two_detectors_are_judged_together(self) -> None:
        truth = example(("bolt", HERE), ("nut", THERE))
        answers = [found(("bolt", HERE, 0.9)), found(("nut", THERE, 0.8))]
        apart = [*seen(answers[:1], [truth]), *seen(answers[1:], [truth])]
        together = judgement_of(apart, ("bolt", "nut"), 0.3)
        assert together == judgement_of(seen(answers, [truth] * 2), ("bolt", "nut"), 0.3)
        assert (together.images, together.no_edit_share) == (2, 0.5)

    def test_labels_of_their_own_threshold(self) -> None:
        findings = seen(
            [found(("bolt", HERE, 0.4), ("nut", THERE, 0.4))], [example(("bolt", HERE), ("nut", THERE))]
        )
        judged = judgement_of(findings, ("bolt", "nut"), {"nut": 0.5})
        assert (judged.no_edit_share, judged.thresholds) == (0.5, {"bolt": 0.3, "nut": 0.5})

    def test_labels_without_anything_have_no_entry(self) -> None:
        [one] = seen([found()], [example(("nut", THERE))])
        assert set(one.of_label) == {"nut"}
        assert np.array_equal(one.of_label["nut"].outlined, [False])

    def test_outlines_are_told_apart(self) -> None:
        truth = example(("bolt", HERE), ("bolt", THERE), masks=(whole(HERE), UNKNOWN))
        [one] = seen([found()], [truth], has_masks=True)
        assert one.of_label["bolt"].outcome(0.3).outlined == 1


@pytest.mark.parametrize("text", ["", "[1]", "null", '{"bolt": "often"}'])
def test_thresholds_that_cannot_be_read_are_none(text: str) -> None:
    assert thresholds_of({IN_WEIGHTS: text}) is thresholds_of({}) is None
