"""The predictor of this process: loaded in the background, shared by all threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prelabel.projects.predictor import Predictor

logger = logging.getLogger(__name__)


class ModelState(StrEnum):
    """Where the model stands."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class ModelNotReady(Exception):
    """There is no model to ask now; the message is one sentence for the caller."""


class ModelHolder:
    """Starts `load` in a thread of its own at once. To be made in the process that serves, after its fork."""

    def __init__(self, load: Callable[[], Predictor]) -> None:
        self._started = time.monotonic()
        executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._future: Future[Predictor] = executor.submit(load)
        self._future.add_done_callback(self._log_end)
        executor.shutdown(wait=False)

    @property
    def state(self) -> ModelState:
        """Where the model stands now."""
        if not self._future.done():
            return ModelState.LOADING
        return ModelState.FAILED if self._future.exception() else ModelState.READY

    @property
    def version(self) -> str | None:
        """The model's version, None while there is no model."""
        return self._future.result().version if self.state is ModelState.READY else None

    def predictor(self, patience: float) -> Predictor:
        """The predictor, waited for up to `patience` seconds. Raises ModelNotReady."""
        wait([self._future], timeout=patience)
        if not self._future.done():
            raise ModelNotReady("The model is still loading; try again in a few seconds.")
        if error := self._future.exception():
            raise ModelNotReady(f"The model could not be loaded: {_reason(error)}.")
        return self._future.result()

    def _log_end(self, future: Future[Predictor]) -> None:
        error = future.exception()
        if error is None:
            seconds = time.monotonic() - self._started
            logger.info("model %s is ready after %.1f s", future.result().version, seconds)
        else:
            unforeseen = None if isinstance(error, ValueError) else error
            logger.error("the model could not be loaded: %s", error, exc_info=unforeseen)


def _reason(error: BaseException) -> str:
    """ValueErrors are worded for people (WeightsError, ConfigError); of others only the kind is told."""
    if isinstance(error, ValueError):
        return str(error).rstrip(".")
    return f"{type(error).__name__}, see the server's log"
