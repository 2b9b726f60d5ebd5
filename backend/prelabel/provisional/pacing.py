"""When a provisional version is made of labels that wait: soon, but not with every one of a burst. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SETTLE_SECONDS = 0.5
"""Without a further label, a version is made: the labels of a bulk action come quicker."""

LONGEST_SETTLE_SECONDS = 5.0
"""For which labels that keep coming hold a version back."""

POLL_SECONDS = 0.25
"""Between two looks at the store."""

REST = 2.0
"""A project rests after a version for so many times as long as that took, so that many labelled images, or a slow
Label Studio, cost no more than a third of the time."""

RETRY_SECONDS = 60.0
"""After a version that could not be made."""


@dataclass
class _Waiting:
    """`changes`: of the labels, as last seen; `since`: when that was first seen; `first`: when any was."""

    changes: int
    first: float
    since: float


class Pacing:
    """Chooses the project whose turn it is. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._not_before: dict[int, float] = {}

    def next(self, waiting: Mapping[int, int], now: float) -> int | None:
        """The project to be made now, None for none. `waiting`: project -> number of changes of its labels."""
        self._waiting = {project: self._seen(project, changes, now) for project, changes in waiting.items()}
        ready = [project for project, seen in self._waiting.items() if self._is_ready(project, seen, now)]
        return min(ready, key=lambda project: self._waiting[project].first, default=None)

    def made(self, project: int, started: float, now: float) -> None:
        """It was made, or there was nothing to make."""
        self._pause(project, now + REST * (now - started))

    def failed(self, project: int, now: float) -> None:
        """It is tried again later."""
        self._pause(project, now + RETRY_SECONDS)

    def _pause(self, project: int, until: float) -> None:
        self._waiting.pop(project, None)
        self._not_before[project] = until

    def _seen(self, project: int, changes: int, now: float) -> _Waiting:
        seen = self._waiting.get(project)
        if seen is None:
            return _Waiting(changes, now, now)
        return seen if seen.changes == changes else _Waiting(changes, seen.first, now)

    def _is_ready(self, project: int, seen: _Waiting, now: float) -> bool:
        settled = now - seen.since >= SETTLE_SECONDS or now - seen.first >= LONGEST_SETTLE_SECONDS
        return settled and now >= self._not_before.get(project, now)
