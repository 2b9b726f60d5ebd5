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
from fbnetv3.judging.comparison import Comparison, Served, compare, judged_at_own_point
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.findings import ImageFindings, LabelFindings, findings_by_key, findings_of
from fbnetv3.judging.gate import GateDecision, decide
from fbnetv3.judging.judgement import SCORE_THRESHOLD, Judgement, judge, judgement_of
from fbnetv3.judging.operating_point import NOTHING, THRESHOLDS, operating_point
from fbnetv3.judging.outcomes import ImageOutcome, outcomes_of

__all__ = [
    "IDENTITY",
    "NOTHING",
    "SCORE_THRESHOLD",
    "THRESHOLDS",
    "Calibration",
    "ChoiceOutcome",
    "ChoicesDecision",
    "Comparison",
    "Effort",
    "GateDecision",
    "HeadJudgement",
    "HeadsJudgement",
    "ImageFindings",
    "ImageOutcome",
    "Judgement",
    "LabelFindings",
    "ScoredRegion",
    "Served",
    "clicks_saved",
    "compare",
    "decide",
    "decide_heads",
    "findings_by_key",
    "findings_of",
    "fit_calibration",
    "judge",
    "judge_heads",
    "judged_at_own_point",
    "judgement_of",
    "operating_point",
    "outcomes_of",
    "seconds_with",
    "seconds_without",
]
