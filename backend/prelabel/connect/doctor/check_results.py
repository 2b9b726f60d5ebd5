"""What a check says of its link: how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a link is. Not checked: a link that it hangs on is broken."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class CheckResult:
    """What a check found: one line on what is so, and, unless all is well, one on what to do."""

    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class CheckedLink:
    """What the check of one link found."""

    link: str
    status: Status
    detail: str
    remedy: str = ""


def ok(detail: str) -> CheckResult:
    """All is well."""
    return CheckResult(Status.OK, detail)


def warning(detail: str, remedy: str) -> CheckResult:
    """Predictions come, but something is not as a user would expect it."""
    return CheckResult(Status.WARNING, detail, remedy)


def broken(detail: str, remedy: str) -> CheckResult:
    """Predictions do not come, do not show, or events get lost."""
    return CheckResult(Status.BROKEN, detail, remedy)
