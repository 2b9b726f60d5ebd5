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


class Abandoned(Exception):
    """The caller went away before its predictions were done."""
