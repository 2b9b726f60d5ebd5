"""Answers that take seconds, such as everything that asks Label Studio: made behind the pages, kept for a while.

A page gets what is known at once, and the new answer with its next refresh. A few threads at most work on them, so that
pages leave the server's time to predictions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from cachetools import LRUCache

from prelabel.errors import FORESEEN

logger = logging.getLogger(__name__)

MOST_KEPT = 1_000

RETRY_SECONDS = 15.0
"""After which a failure is tried again."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """What is known. `value`: of the last attempt that succeeded, None before; `problem`: why the last one did not, in
    a sentence. `at`: when that was, by the monotonic clock; None before the first. `is_coming`: a newer one is made.
    """

    value: Value | None = None
    problem: str | None = None
    at: float | None = None
    is_coming: bool = False


class Kept:
    """Safe to share between threads, of which `threads` at a time make the answers."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(threads)
        self._answers: LRUCache[Hashable, Answer[object]] = LRUCache(MOST_KEPT)

    def ask(self, key: Hashable, make: Callable[[], Value], seconds: float) -> Answer[Value]:
        """What is known under this key now; made anew behind the caller's back where that is older than `seconds`, or
        where the last attempt failed a while ago.
        """
        with self._lock:
            known = self._answers.get(key, Answer())
            holds = min(seconds, RETRY_SECONDS) if known.problem else seconds
            is_old = known.at is None or time.monotonic() - known.at > holds
            if is_old and not known.is_coming:
                known = replace(known, is_coming=True)
                self._answers[key] = known
                # A thread of its own that no exit of the server waits for.
                threading.Thread(target=self._make, args=(key, make), name="console", daemon=True).start()
        return known  # type: ignore[return-value]  # what is under a key is what its maker makes

    def renew(self, key: Hashable) -> None:
        """Have the next answer made anew; what is known is shown until then."""
        with self._lock:
            if known := self._answers.get(key):
                self._answers[key] = replace(known, at=None)

    def _make(self, key: Hashable, make: Callable[[], object]) -> None:
        problem = value = None
        with self._turns:
            try:
                value = make()
            except Exception as error:  # nobody else would see it, and the page must not wait for ever
                problem = (
                    str(error) if isinstance(error, FORESEEN) else "an internal error, see the server's log"
                )
                if not isinstance(error, FORESEEN):
                    logger.error("the console could not find out %s", key, exc_info=error)
        with self._lock:
            if problem:
                value = self._answers.get(key, Answer()).value
            self._answers[key] = Answer(value, problem, time.monotonic())
