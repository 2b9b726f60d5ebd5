"""Answers that take seconds, such as everything that asks Label Studio: made behind the pages, kept for a while.

A page gets what is known at once, and the new answer with its next refresh. A few threads at most work on them, so that
pages leave the server's time to predictions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

from prelabel.errors import FORESEEN

logger = logging.getLogger(__name__)

MOST_KEPT = 1_000

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """What is known. `value`: None before the first answer, and where that failed; `problem`: why it did, in a
    sentence. `at`: when it was made, by the monotonic clock; None before the first. `is_coming`: a newer one is made.
    """

    value: Value | None = None
    problem: str | None = None
    at: float | None = None
    is_coming: bool = False


class Kept:
    """Safe to share between threads, of which `threads` make the answers."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="console")
        self._answers: LRUCache[Hashable, Answer[object]] = LRUCache(MOST_KEPT)

    def ask(self, key: Hashable, make: Callable[[], Value], seconds: float) -> Answer[Value]:
        """What is known under this key now; made anew behind the caller's back where that is older than `seconds`."""
        with self._lock:
            known = self._answers.get(key, Answer())
            is_old = known.at is None or time.monotonic() - known.at > seconds
            if is_old and not known.is_coming:
                known = Answer(known.value, known.problem, known.at, True)
                self._answers[key] = known
                self._executor.submit(self._make, key, make)
        return known  # type: ignore[return-value]  # what is under a key is what its maker makes

    def forget(self, key: Hashable) -> None:
        """Make the next answer anew: something was changed."""
        with self._lock:
            self._answers.pop(key, None)

    def _make(self, key: Hashable, make: Callable[[], object]) -> None:
        try:
            answer = Answer[object](make(), None, time.monotonic())
        except Exception as error:  # nobody else would see it, and the page must not wait for ever
            problem = str(error) if isinstance(error, FORESEEN) else "an internal error, see the server's log"
            answer = Answer[object](None, problem, time.monotonic())
            if not isinstance(error, FORESEEN):
                logger.error("the console could not find out %s", key, exc_info=error)
        with self._lock:
            self._answers[key] = answer
