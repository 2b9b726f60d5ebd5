"""The choices' part of a run: heads on the weights that are to serve, and what both parts say of the new version.

Heads mean nothing to other weights than those whose features they were fitted on. So every run fits them again: on the
candidate where its objects are better, else on what serves. A version is promoted where one part is better and
none is worse: a candidate whose choices are worse than those that serve gives way to heads on the serving weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fbnetv3.classification.fitting import fit_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.judging import ChoicesDecision, GateDecision, HeadsJudgement, decide_heads, judge_heads

CANDIDATE = "candidate"
"""The version of the detector that a run's fine-tuning made."""


@dataclass(frozen=True, eq=False)
class LearntChoices:
    """Heads, judged beside those that serve, if any. `weights`: the version of the detector that they belong to."""

    weights: str
    heads: tuple[LinearHead, ...]
    decision: ChoicesDecision
    judgement: HeadsJudgement
    serving: HeadsJudgement | None


@dataclass(frozen=True, eq=False)
class ChoiceLearning:
    """Fits and judges the heads of one snapshot. `serving_heads`: of the version that serves, with its detector.

    `thresholds`: control -> the least probability of a choice that is shown. `on_image` is called for every image that
    is looked at.
    """

    snapshot: Snapshot
    serving: Detector
    serving_heads: tuple[LinearHead, ...]
    thresholds: Mapping[str, float]
    on_image: Callable[[], None]

    def on(self, detector: Detector) -> LearntChoices:
        """Heads on this detector's features. Raises ImageError for an image that cannot be read."""
        heads = fit_heads(detector, self.snapshot, self.on_image)
        candidate = self._judge(detector, heads)
        serving = self._serving_judgement
        return LearntChoices(detector.version, heads, decide_heads(candidate, serving), candidate, serving)

    @cached_property
    def _serving_judgement(self) -> HeadsJudgement | None:
        return self._judge(self.serving, self.serving_heads) if self.serving_heads else None

    def _judge(self, detector: Detector, heads: Sequence[LinearHead]) -> HeadsJudgement:
        return judge_heads(detector, heads, self.snapshot, self.thresholds, self.on_image)


def learn_choices(
    learning: ChoiceLearning, objects: GateDecision | None, candidate: Callable[[], Detector]
) -> list[LearntChoices]:
    """What was tried, in order; the last one counts. `objects`: the gate's decision on the candidate, if any."""
    tried = []
    if objects is not None and objects.promoted:
        tried.append(learning.on(candidate()))
        if not tried[0].decision.worse:
            return tried
    return [*tried, learning.on(learning.serving)]


def is_promoted(objects: GateDecision | None, tried: Sequence[LearntChoices]) -> bool:
    """Whether the version of the weights and heads that count serves from now on."""
    if not tried:
        return objects is not None and objects.promoted
    return tried[-1].decision.promoted or tried[-1].weights == CANDIDATE


def reason_of(objects: GateDecision | None, tried: Sequence[LearntChoices]) -> str:
    """Why, of both parts."""
    if objects is None:
        return " ".join(one.decision.reason for one in tried)
    if not tried:
        return objects.reason
    choices = (f"Choices{_on(one)}: {one.decision.reason}" for one in tried)
    return " ".join([f"Objects: {objects.reason}", *choices])


def _on(learnt: LearntChoices) -> str:
    return " with these weights" if learnt.weights == CANDIDATE else " with the serving weights"
