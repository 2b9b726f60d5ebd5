"""A comparison by hand-made pictures: both are judged on images that neither has learnt from, the given efforts decide,
both are calibrated."""

from __future__ import annotations

from judgement_samples import HERE, LABELS, THERE, Examples, Scripted, example, found

from fbnetv3.instances import Instances
from fbnetv3.judging import (
    Comparison,
    Effort,
    ImageFindings,
    ImageOutcome,
    Served,
    compare,
    decide,
    findings_of,
    fit_calibration,
    judged_at_own_point,
)

KEYS = ("first", "second", "third")
RIGHT = found(("bolt", HERE, 0.9), ("nut", THERE, 0.8))
NOISY = found(("bolt", HERE, 0.9), ("nut", (150, 80, 160, 90), 0.2), ("nut", HERE, 0.7))
SILENT = found()


def seen(answer: Instances, *keys: str) -> dict[str, ImageFindings]:
    """The answer in a picture of a bolt and a nut for each key, or for all."""
    images = Examples((example(("bolt", HERE), ("nut", THERE)),) * len(keys or KEYS))
    found_in = findings_of(Scripted([answer] * len(images)), images)  # type: ignore[arg-type]
    return dict(zip(keys or KEYS, found_in, strict=True))


def compared(
    candidate: dict[str, ImageFindings],
    serving: Served | None,
    effort: Effort = Effort(),  # noqa: B008
    threshold: float = 0.3,
) -> Comparison:
    return compare(candidate, serving, LABELS, effort=effort, score_threshold=threshold)


def test_both_are_judged_and_calibrated_on_the_same_images() -> None:
    result = compared(seen(RIGHT), Served(seen(NOISY)))
    assert result.serving is not None
    assert (result.candidate.no_edit_share, result.serving.no_edit_share) == (1.0, 0.5)
    assert result.decision.promoted
    assert result.candidate_calibration == fit_calibration(result.candidate.regions)
    assert result.serving_calibration == fit_calibration(result.serving.regions)
    assert result.serving_calibration is not None
    assert (result.candidate_calibration.regions, result.serving_calibration.regions) == (6, 9)


def test_the_given_efforts_decide() -> None:
    assert compared(seen(RIGHT), Served(seen(NOISY))).decision.promoted
    dull = Effort(check=100.0, draw_box=1.0)
    decision = compared(seen(RIGHT), Served(seen(NOISY)), dull).decision
    assert decision.reason.startswith("Neither finds an object surely enough"), (
        "showing costs more than drawing"
    )


def test_each_is_judged_at_its_own_operating_point() -> None:
    result = compared(seen(NOISY), Served(seen(NOISY)))
    assert result.serving is not None
    assert result.candidate_thresholds == result.candidate.thresholds == result.serving.thresholds
    assert result.candidate_thresholds["nut"] > 0.7, "whose regions are all wrong"
    assert result.candidate.false_positives_per_image == result.serving.false_positives_per_image == 0


def test_what_serves_is_judged_at_the_thresholds_that_it_carries() -> None:
    carried = {"nut": 0.1, "bolt": 0.95}
    result = compared(seen(NOISY), Served(seen(NOISY), thresholds=carried))
    assert result.serving is not None and result.serving.thresholds == carried
    assert (result.serving.no_edit_share, result.serving.false_positives_per_image) == (0.0, 2.0)
    assert result.decision.promoted


def test_a_label_that_the_carried_thresholds_lack_has_the_default() -> None:
    result = compared(seen(NOISY), Served(seen(NOISY), thresholds={"bolt": 0.5}), threshold=0.6)
    assert result.serving is not None and result.serving.thresholds == {"bolt": 0.5, "nut": 0.6}


def test_an_image_is_judged_at_the_point_that_the_others_give() -> None:
    """Two images tell that nuts are always wrong; the third has a right one, which they hide."""
    empty, with_nut = example(("bolt", HERE)), example(("bolt", HERE), ("nut", THERE))
    answers = [found(("bolt", HERE, 0.9), ("nut", THERE, 0.4))] * 3
    images = Examples((empty, empty, with_nut))
    findings = findings_of(Scripted(answers), images)  # type: ignore[arg-type]
    judged = judged_at_own_point(dict(zip(KEYS, findings, strict=True)), images.labels, Effort(), 0.3)
    assert judged.keys == KEYS
    assert [one.found for one in judged.outcomes] == [1, 1, 1]
    assert judged.outcomes[2].false_positives == 0


def test_where_nothing_serves_drawing_is_compared_with() -> None:
    result = compared(seen(RIGHT), None)
    assert (result.serving, result.serving_calibration) == (None, None)
    assert result.decision == decide(result.candidate, None, Effort()) and result.decision.promoted


class TestImages:
    """Which images are compared: those that both sides are known on."""

    PERFECT, MISSED = ImageOutcome(2, 2, 2, 0), ImageOutcome(2, 0, 0, 0)

    def test_what_is_remembered_stands_for_images_that_it_has_learnt_from(self) -> None:
        """It finds nothing in the new image; in the two others weights like it found everything."""
        remembered = dict.fromkeys(("first", "second"), self.PERFECT)
        result = compared(seen(NOISY), Served(seen(SILENT, "third"), remembered))
        assert result.serving is not None
        assert result.serving.by_key == {**remembered, "third": self.MISSED}
        assert result.serving.images == 3 and not result.decision.promoted
        without = compared(seen(NOISY), Served(seen(SILENT, "third")))
        assert without.decision.promoted and "on 1 image," in without.decision.reason

    def test_outcomes_meet_by_their_keys_not_by_their_order(self) -> None:
        """Each side is right in one image, another one, and told in another order: none is better."""
        candidate = seen(RIGHT, "first") | seen(SILENT, "second")
        serving = seen(SILENT, "second", "other") | seen(RIGHT, "first")
        result = compared(candidate, Served(serving))
        assert result.serving is not None and result.serving.keys == ("first", "second")
        assert result.serving.outcomes == (self.PERFECT, self.MISSED)
        assert "+0.0 s saved per image on 2 images" in result.decision.reason

    def test_what_the_candidate_was_not_judged_on_does_not_count(self) -> None:
        """Of many images only a fold judges: what is known of the others is no part of the comparison."""
        whole = compared(seen(RIGHT, "first"), Served(seen(NOISY), {"gone": self.PERFECT}))
        assert whole == compared(seen(RIGHT, "first"), Served(seen(NOISY, "first")))

    def test_what_is_seen_now_counts_more_than_what_is_remembered(self) -> None:
        remembered = dict.fromkeys(KEYS, self.MISSED)
        result = compared(seen(SILENT), Served(seen(RIGHT), remembered))
        assert result.serving is not None and set(result.serving.by_key.values()) == {self.PERFECT}

    def test_images_that_all_were_learnt_from_calibrate_nothing(self) -> None:
        result = compared(seen(RIGHT), Served({}, dict.fromkeys(KEYS, self.MISSED)))
        assert result.decision.promoted and result.serving_calibration is None

    def test_the_candidate_keeps_all_its_images_for_the_next_comparison(self) -> None:
        """Though only one of them was compared."""
        result = compared(seen(RIGHT), Served(seen(NOISY, "first")))
        assert result.candidate.keys == KEYS and result.candidate.images == 3
