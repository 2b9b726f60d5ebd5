"""One comparison of a candidate with what serves: both judged on the hold-out, the gate's decision, calibrations.

A project's training run, `prelabel train` and the simulation all decide by this, so that they decide alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.judging.calibration import Calibration, fit_calibration
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.gate import GateDecision, decide
from fbnetv3.judging.judgement import Judgement, judge


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same images. `serving` is None where nothing serves that knows one of their labels.

    The calibrations make confidences of the scores of the detector that they are named after.
    """

    candidate: Judgement
    serving: Judgement | None
    decision: GateDecision
    candidate_calibration: Calibration
    serving_calibration: Calibration | None


def compare(
    candidate: Detector,
    serving: Detector | None,
    holdout: Examples,
    *,
    effort: Effort,
    score_threshold: float,
    on_image: Callable[[], None] = lambda: None,
) -> Comparison:
    """Judge both on `holdout`, ask the gate, and calibrate both.

    `effort`: the seconds that the gate compares. `score_threshold`, 0..1: regions that score less are not shown to
    people. `on_image` is called after each image, twice for every image where something serves. Raises what
    reading the images raises.
    """
    new = judge(candidate, holdout, score_threshold, on_image)
    old = None
    if serving is not None and not set(serving.labels).isdisjoint(holdout.labels):
        old = judge(serving, holdout, score_threshold, on_image)
    return Comparison(
        candidate=new,
        serving=old,
        decision=decide(new, old, effort),
        candidate_calibration=fit_calibration(new.regions),
        serving_calibration=None if old is None else fit_calibration(old.regions),
    )
