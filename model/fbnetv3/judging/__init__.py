"""Judging detectors by what a person would have to edit, what that costs, and which candidate may serve."""

from fbnetv3.judging.calibration import (
    IDENTITY,
    Calibration,
    ScoredRegion,
    fit_calibration,
)
from fbnetv3.judging.choice_outcomes import ChoiceOutcome, HeadJudgement, HeadsJudgement
from fbnetv3.judging.choices import (
    ChoicesDecision,
    clicks_saved,
    decide_heads,
    judge_heads,
)
from fbnetv3.judging.comparison import Comparison, compare
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.gate import GateDecision, decide
from fbnetv3.judging.judgement import SCORE_THRESHOLD, Judgement, judge
from fbnetv3.judging.outcomes import ImageOutcome, outcomes_of

__all__ = [
    "IDENTITY",
    "SCORE_THRESHOLD",
    "Calibration",
    "ChoiceOutcome",
    "ChoicesDecision",
    "Comparison",
    "Effort",
    "GateDecision",
    "HeadJudgement",
    "HeadsJudgement",
    "ImageOutcome",
    "Judgement",
    "ScoredRegion",
    "clicks_saved",
    "compare",
    "decide",
    "decide_heads",
    "fit_calibration",
    "judge",
    "judge_heads",
    "outcomes_of",
    "seconds_with",
    "seconds_without",
]
