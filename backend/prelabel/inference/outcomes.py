"""What becomes of a task: its prediction, and what failed on the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FailureKind = Literal["fetch", "decode", "model", "invalid", "prompt"]


@dataclass(frozen=True)
class Failure:
    """Why a task, one image of it or one of its regions was left out: the step and one sentence."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True)
class TaskOutcome:
    """The prediction of one task as Label Studio takes it, and its failures."""

    prediction: dict[str, Any]
    failures: tuple[Failure, ...] = ()

    @property
    def is_blind(self) -> bool:
        """Whether it is empty because an image could not be viewed. Nobody may store that: an annotator would take
        it for "nothing to see here", and Label Studio never asks again for a task that has a prediction. Where other
        images of the task gave regions there is something to start from, and its score of 0 puts it first.
        """
        is_incomplete = any(failure.kind != "invalid" for failure in self.failures)
        return is_incomplete and not self.prediction["result"]

    @property
    def why(self) -> str:
        """What failed, in one line."""
        return "; ".join(failure.reason for failure in self.failures)


class Abandoned(Exception):
    """The caller went away before its predictions were done."""
