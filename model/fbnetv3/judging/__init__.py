"""Judging detectors by what a person would have to edit, what that costs, and which candidate may serve."""

from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.gate import Verdict, decide
from fbnetv3.judging.judgement import SCORE_THRESHOLD, Judgement, judge
from fbnetv3.judging.outcomes import ImageOutcome, outcomes_of

__all__ = [
    "SCORE_THRESHOLD",
    "Effort",
    "ImageOutcome",
    "Judgement",
    "Verdict",
    "decide",
    "judge",
    "outcomes_of",
    "seconds_with",
    "seconds_without",
]
