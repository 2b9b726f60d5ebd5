"""The predictors of this process, shared by all threads: the base weights', and those of projects' versions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import StrEnum
from typing import TYPE_CHECKING

from prelabel.errors import FORESEEN
from prelabel.server.errors import ModelNotReady

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor
    from prelabel.server.project_models import ProjectModels

logger = logging.getLogger(__name__)


class ModelState(StrEnum):
    """Where the model stands."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class ModelHolder:
    """Starts `load`, of the base weights, in a thread of its own at once. To be made in the process that serves,
    after its fork. `projects`: the predictors of projects that the base weights do not answer for.
    """

    def __init__(self, load: Callable[[], Predictor], projects: ProjectModels | None = None) -> None:
        self._projects = projects
        self._started = time.monotonic()
        executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._future: Future[Predictor] = executor.submit(load)
        self._future.add_done_callback(self._log_end)
        executor.shutdown(wait=False)

    @property
    def state(self) -> ModelState:
        """Where the base model stands now."""
        if not self._future.done():
            return ModelState.LOADING
        return ModelState.FAILED if self._future.exception() else ModelState.READY

    @property
    def version(self) -> str | None:
        """The base model's version, None while there is no base model."""
        return self._future.result().version if self.state is ModelState.READY else None

    def predictor(self, patience: float, project_id: int | None = None) -> Predictor:
        """The project's predictor, the base one where it has none or is not given; waited for up to `patience`
        seconds. Raises ModelNotReady.
        """
        if self._projects is not None and project_id is not None:
            own = self._projects.predictor(project_id, patience)
            if own is not None:
                return own
        return self._base_predictor(patience)

    def _base_predictor(self, patience: float) -> Predictor:
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
            unforeseen = None if isinstance(error, FORESEEN) else error
            logger.error("the model could not be loaded: %s", error, exc_info=unforeseen)


def _reason(error: BaseException) -> str:
    """What is foreseen is worded for people (WeightsError, ConfigError); of the rest only the kind is told."""
    if isinstance(error, FORESEEN):
        return str(error).rstrip(".")
    return f"{type(error).__name__}, see the server's log"
