"""A comparison by hand-made pictures: both see the same images, the given efforts decide, both are calibrated."""

from __future__ import annotations

from judgement_samples import HERE, THERE, Examples, Scripted, example, found

from fbnetv3.instances import Instances
from fbnetv3.judging import Comparison, Effort, compare, findings_of, fit_calibration, judged_at_own_point

BOTH = Examples((example(("bolt", HERE), ("nut", THERE)),) * 3)
RIGHT = found(("bolt", HERE, 0.9), ("nut", THERE, 0.8))
NOISY = found(("bolt", HERE, 0.9), ("nut", (150, 80, 160, 90), 0.2), ("nut", HERE, 0.7))
SILENT = found()


def compared(
    candidate: Instances,
    serving: Scripted | None,
    effort: Effort,
    threshold: float = 0.3,
    serving_thresholds: dict[str, float] | None = None,
) -> Comparison:
    return compare(
        Scripted([candidate] * 3),  # type: ignore[arg-type]
        serving,  # type: ignore[arg-type]
        BOTH,
        effort=effort,
        score_threshold=threshold,
        serving_thresholds=serving_thresholds,
    )


def test_both_are_judged_and_calibrated_on_the_same_images() -> None:
    heard: list[int] = []
    candidate, serving = Scripted([RIGHT] * 3), Scripted([NOISY] * 3)
    result = compare(
        candidate,  # type: ignore[arg-type]
        serving,  # type: ignore[arg-type]
        BOTH,
        effort=Effort(),
        score_threshold=0.3,
        on_image=lambda: heard.append(1),
    )
    assert len(candidate.asked) == len(serving.asked) == 3 and len(heard) == 6
    assert result.serving is not None
    assert (result.candidate.no_edit_share, result.serving.no_edit_share) == (1.0, 0.5)
    assert result.decision.promoted
    assert result.candidate_calibration == fit_calibration(result.candidate.regions)
    assert result.serving_calibration == fit_calibration(result.serving.regions)
    assert (result.candidate_calibration.regions, result.serving_calibration.regions) == (6, 9)


def test_the_given_efforts_decide() -> None:
    assert compared(RIGHT, Scripted([NOISY] * 3), Effort()).decision.promoted
    dull = Effort(check=100.0, draw_box=1.0)
    rejected = compared(RIGHT, Scripted([NOISY] * 3), dull).decision
    assert not rejected.promoted and rejected.reason.startswith("Not better: ")


def test_each_is_judged_at_its_own_operating_point() -> None:
    result = compared(NOISY, Scripted([NOISY] * 3), Effort())
    assert result.serving is not None
    assert result.candidate_thresholds == result.candidate.thresholds == result.serving.thresholds
    assert result.candidate_thresholds["nut"] > 0.7, "whose regions are all wrong"
    assert result.candidate.false_positives_per_image == result.serving.false_positives_per_image == 0


def test_what_serves_is_judged_at_the_thresholds_that_it_carries() -> None:
    carried = {"nut": 0.1, "bolt": 0.95}
    result = compared(NOISY, Scripted([NOISY] * 3), Effort(), serving_thresholds=carried)
    assert result.serving is not None and result.serving.thresholds == carried
    assert (result.serving.no_edit_share, result.serving.false_positives_per_image) == (0.0, 2.0)
    assert result.decision.promoted


def test_a_label_that_the_carried_thresholds_lack_has_the_default() -> None:
    result = compared(NOISY, Scripted([NOISY] * 3), Effort(), 0.6, serving_thresholds={"bolt": 0.5})
    assert result.serving is not None and result.serving.thresholds == {"bolt": 0.5, "nut": 0.6}


def test_an_image_is_judged_at_the_point_that_the_others_give() -> None:
    """Two images tell that nuts are always wrong; the third has a right one, which they hide."""
    empty, with_nut = example(("bolt", HERE)), example(("bolt", HERE), ("nut", THERE))
    answers = [found(("bolt", HERE, 0.9), ("nut", THERE, 0.4))] * 3
    images = Examples((empty, empty, with_nut))
    judged = judged_at_own_point(findings_of(Scripted(answers), images), images.labels, Effort(), 0.3)  # type: ignore[arg-type]
    assert [one.found for one in judged.outcomes] == [1, 1, 1]
    assert judged.outcomes[2].false_positives == 0


def test_a_detector_that_knows_no_label_does_not_serve() -> None:
    stranger = Scripted([SILENT] * 3, labels=("zebra",))
    result = compared(RIGHT, stranger, Effort())
    assert result == compared(RIGHT, None, Effort())
    assert (result.serving, result.serving_calibration, stranger.asked) == (None, None, [])
