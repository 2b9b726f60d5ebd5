"""One comparison of a candidate with what serves, on images that neither has learnt from: each at its own operating
point, the gate's decision, calibrations.

A project's training run, `prelabel train` and the simulation all decide by this, so that they decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fbnetv3.judging.calibration import Calibration, fit_calibration
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.findings import ImageFindings
from fbnetv3.judging.gate import GateDecision, decide
from fbnetv3.judging.judgement import Judgement, judgement_of, with_outcomes
from fbnetv3.judging.operating_point import Curves
from fbnetv3.judging.outcomes import ImageOutcome


@dataclass(frozen=True, eq=False)
class Served:
    """What serves, on the labelled images, which are known by their keys.

    `findings`: in the images that it has not learnt from, by its folds where it has some: the candidate is judged by
    its own, which learnt less than it did, too. `remembered`: of those that it has learnt from, what its folds found
    that had not (see `fbnetv3.finetuning.cross_fitting`). `thresholds`: the operating point that it
    carries; None where it has none, and gets one as the candidate does. `is_new`: whether all that it knows of the
    labels comes from these images, by a provisional version, so that it stands in the way of nothing unjudged.
    """

    findings: Mapping[str, ImageFindings]
    remembered: Mapping[str, ImageOutcome] = field(default_factory=dict)
    thresholds: Mapping[str, float] | None = None
    is_new: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same images. `serving` is None where nothing serves that knows one of their labels; its AP
    is that of the images that it has not learnt from.

    The calibrations make confidences of the scores of the detector that they are named after; None where none of its
    regions were seen. The thresholds of either are those of its judgement.
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
    candidate: Mapping[str, ImageFindings],
    serving: Served | None,
    labels: Sequence[str],
    *,
    effort: Effort,
    score_threshold: float,
) -> Comparison:
    """Judge the candidate by what it found in images by their keys, ask the gate, and calibrate both.

    `labels`: of the data. `effort`: the seconds that the gate compares, image by image, where both sides are known.
    `score_threshold`, 0..1: where few images say otherwise, regions that score less are not shown to people.
    """
    new = judged_at_own_point(candidate, labels, effort, score_threshold)
    if serving is None or (serving.is_new and not candidate):
        return Comparison(new, None, decide(new, None, effort), fit_calibration(new.regions), None)
    seen = {key: found for key, found in serving.findings.items() if key in candidate}
    old = _judged(serving, seen, labels, effort, score_threshold)
    ours_by_key, outcomes = new.by_key, {**serving.remembered, **old.by_key}
    both = [key for key in candidate if key in outcomes]
    there = judgement_of([candidate[key] for key in seen], labels, new.thresholds) if seen else new
    ours = with_outcomes(there, both, [ours_by_key[key] for key in both])
    theirs = with_outcomes(old, both, [outcomes[key] for key in both])
    return Comparison(
        new,
        theirs,
        decide(ours, theirs, effort, len(seen)),
        fit_calibration(new.regions),
        fit_calibration(old.regions) if seen else None,
    )


def judged_at_own_point(
    findings: Mapping[str, ImageFindings], labels: Sequence[str], effort: Effort, default: float
) -> Judgement:
    """A detector's figures at the operating point that these images give it.

    What a person finds in an image is judged at the point that the other images give: chosen and judged on the same
    images, every detector would look better than it is, one with many labels most.
    """
    found = list(findings.values())
    curves = Curves.of([one.of_label for one in found], labels, effort, default)
    judged = judgement_of(found, labels, curves.best(), each_at=curves.best_without_each())
    return replace(judged, keys=tuple(findings))


def _judged(
    serving: Served,
    seen: Mapping[str, ImageFindings],
    labels: Sequence[str],
    effort: Effort,
    default: float,
) -> Judgement:
    if serving.thresholds is None:
        return judged_at_own_point(seen, labels, effort, default)
    carried = {label: serving.thresholds.get(label, default) for label in labels}
    return replace(judgement_of(list(seen.values()), labels, carried), keys=tuple(seen))
