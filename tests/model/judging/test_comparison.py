"""A comparison by hand-made pictures: both see the same images, the given efforts decide, both are calibrated."""

from __future__ import annotations

from judgement_samples import HERE, THERE, Examples, Scripted, example, found

from fbnetv3.instances import Instances
from fbnetv3.judging import Comparison, Effort, compare, fit_calibration

BOTH = Examples((example(("bolt", HERE), ("nut", THERE)),) * 3)
RIGHT = found(("bolt", HERE, 0.9), ("nut", THERE, 0.8))
NOISY = found(("bolt", HERE, 0.9), ("nut", (150, 80, 160, 90), 0.2), ("nut", HERE, 0.7))
SILENT = found()


def compared(
    candidate: Instances, serving: Scripted | None, effort: Effort, threshold: float = 0.3
) -> Comparison:
    new = Scripted([candidate] * 3)
    return compare(new, serving, BOTH, effort=effort, score_threshold=threshold)  # type: ignore[arg-type]


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
    assert not rejected.promoted and rejected.reason.startswith("Not better: -")


def test_the_given_threshold_decides_what_is_shown() -> None:
    shown, hidden = (compared(NOISY, None, Effort(), least).candidate for least in (0.1, 0.3))
    assert (shown.false_positives_per_image, hidden.false_positives_per_image) == (2.0, 1.0)


def test_a_detector_that_knows_no_label_does_not_serve() -> None:
    stranger = Scripted([SILENT] * 3, labels=("zebra",))
    result = compared(RIGHT, stranger, Effort())
    assert result == compared(RIGHT, None, Effort())
    assert (result.serving, result.serving_calibration, stranger.asked) == (None, None, [])
