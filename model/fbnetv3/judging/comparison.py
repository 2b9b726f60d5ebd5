"""One comparison of a candidate with what serves: both judged on the hold-out, each at its own operating point, the
gate's decision, calibrations.

A project's training run, `prelabel train` and the simulation all decide by this, so that they decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.judging.calibration import Calibration, fit_calibration
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.findings import ImageFindings, findings_of
from fbnetv3.judging.gate import GateDecision, decide
from fbnetv3.judging.judgement import Judgement, judgement_of
from fbnetv3.judging.operating_point import operating_point, points_without_each


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same images. `serving` is None where nothing serves that knows one of their labels.

    The calibrations make confidences of the scores of the detector that they are named after. The thresholds of either
    are those of its judgement.
    """

    candidate: Judgement
    serving: Judgement | None
    decision: GateDecision
    candidate_calibration: Calibration
    serving_calibration: Calibration | None

    @property
    def candidate_thresholds(self) -> Mapping[str, float]:
        """The candidate's operating point: label -> the score from which on its regions are to be shown."""
        return self.candidate.thresholds


def compare(
    candidate: Detector,
    serving: Detector | None,
    holdout: Examples,
    *,
    effort: Effort,
    score_threshold: float,
    serving_thresholds: Mapping[str, float] | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> Comparison:
    """Judge both on `holdout`, ask the gate, and calibrate both.

    `effort`: the seconds that the gate compares. `score_threshold`, 0..1: where few images say otherwise, regions that
    score less are not shown to people. `serving_thresholds`: the operating point that what serves carries; None where
    it has none, and gets one as the candidate does. `on_image` is called after each image, twice for every image where
    something serves. Raises what reading the images raises.
    """
    labels = holdout.labels
    new = judged_at_own_point(findings_of(candidate, holdout, on_image), labels, effort, score_threshold)
    old = None
    if serving is not None and not set(serving.labels).isdisjoint(labels):
        found = findings_of(serving, holdout, on_image)
        if serving_thresholds is None:
            old = judged_at_own_point(found, labels, effort, score_threshold)
        else:
            carried = {label: serving_thresholds.get(label, score_threshold) for label in labels}
            old = judgement_of(found, labels, carried)
    return Comparison(
        candidate=new,
        serving=old,
        decision=decide(new, old, effort),
        candidate_calibration=fit_calibration(new.regions),
        serving_calibration=None if old is None else fit_calibration(old.regions),
    )


def judged_at_own_point(
    findings: Sequence[ImageFindings], labels: Sequence[str], effort: Effort, default: float
) -> Judgement:
    """A detector's figures at the operating point that these images give it.

    What a person finds in an image is judged at the point that the other images give: chosen and judged on the same
    images, every detector would look better than it is, one with many labels most.
    """
    return judgement_of(
        findings,
        labels,
        operating_point(findings, labels, effort, default),
        each_at=points_without_each(findings, labels, effort, default),
    )
