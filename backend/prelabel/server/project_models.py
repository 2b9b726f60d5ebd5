"""The predictors of projects that have a version of their own: loaded behind the answers, a few at a time.

Every server process follows the store, which says what serves which project. A new version is loaded while the one
before it goes on answering, so a promotion costs no request anything; where it cannot be loaded, the one before it
stays. Versions that served when the process started are loaded at once, and waited for like the base weights: their
answers must not begin with those of another version.

Provisional versions are followed likewise. They share the network of the base weights: one is loaded in milliseconds,
and takes no room of the others.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from cachetools import LRUCache

from prelabel.errors import FORESEEN
from prelabel.server.errors import ModelNotReady
from prelabel.store.database import StoreError
from prelabel.store.provisional import is_provisional

if TYPE_CHECKING:
    from prelabel.inference.predictor import Predictor

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""How old what is known of the store may be: server processes are never longer of two minds than that and a load."""

RETRY_SECONDS = 60.0
"""After which a version that could not be loaded is tried again."""


class ProjectModels:
    """Predictors by project. `serving` reads project id -> version from the store, most recently promoted first;
    `load` makes a version's predictor; at most `capacity` with a network of their own are kept. Safe to share between
    threads.
    """

    def __init__(
        self, serving: Callable[[], Mapping[int, str]], load: Callable[[str], Predictor], capacity: int
    ) -> None:
        self._serving = serving
        self._load = load
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="versions")
        self._wanted: Mapping[int, str] = serving()
        self._answering = dict(self._wanted)
        self._loaded: LRUCache[str, Predictor] = LRUCache(capacity, _room)
        self._loading: dict[str, Future[Predictor]] = {}
        self._failed_at: dict[str, float] = {}
        self._checked_at = time.monotonic()
        self._told_at = float("-inf")
        self._asked = self._heard = 0
        with self._lock:
            for name in islice(self._wanted.values(), capacity):
                self._start_loading(name)

    def follow(self) -> None:
        """Keep up with the store from now on, also while nobody asks."""
        threading.Thread(
            target=_follow, args=(weakref.ref(self),), name="versions-follow", daemon=True
        ).start()

    def predictor(self, project_id: int, patience: float) -> Predictor | None:
        """What answers for the project; None: the base weights do. A version that is not loaded is waited for up to
        `patience` seconds. Raises ModelNotReady.
        """
        self.catch_up()
        with self._lock:
            name = self._answering.get(project_id)
            if name is None:
                return None
            if name in self._loaded:
                return self._loaded[name]
            loading = self._start_loading(name)
        if loading is None:
            return None
        wait([loading], timeout=patience)
        if not loading.done():
            raise ModelNotReady(f"The version {name} is still loading; try again in a few seconds.")
        return None if loading.exception() else loading.result()

    def catch_up(self) -> None:
        """Ask the store, unless that was done just now."""
        with self._lock:
            if time.monotonic() - self._checked_at < CHECK_SECONDS:
                return
            self._checked_at = time.monotonic()
            self._asked += 1
            turn = self._asked
        try:
            wanted = self._serving()
        except StoreError as error:
            self._tell_once(error)
            return
        with self._lock:
            if turn < self._heard:  # the store was asked again meanwhile, and that answer was quicker
                return
            self._heard = turn
            self._wanted = wanted
            for project_id in self._answering.keys() - wanted.keys():
                del self._answering[project_id]
            for project_id, name in wanted.items():
                if self._answering.get(project_id) != name:
                    self._turn_to(project_id, name)

    def _tell_once(self, error: StoreError) -> None:
        """Not every second."""
        if time.monotonic() - self._told_at >= RETRY_SECONDS:
            self._told_at = time.monotonic()
            logger.warning("the store does not say which versions serve: %s", error)

    def _turn_to(self, project_id: int, name: str) -> None:
        if name in self._loaded:
            self._answering[project_id] = name
        else:
            self._start_loading(name)

    def _start_loading(self, name: str) -> Future[Predictor] | None:
        """None where that failed a moment ago. The lock is held."""
        if name in self._loading:
            return self._loading[name]
        if time.monotonic() - self._failed_at.get(name, float("-inf")) < RETRY_SECONDS:
            return None
        loading = self._loading[name] = self._executor.submit(self._load, name)
        # Behind the load, in the same thread: a callback of the future might run here, where the lock is held.
        self._executor.submit(partial(self._finish, name, loading))
        return loading

    def _finish(self, name: str, loading: Future[Predictor]) -> None:
        error = loading.exception()
        with self._lock:
            del self._loading[name]
            if error is not None:
                self._failed_at[name] = time.monotonic()
            else:
                self._take_in(name, loading.result())
        if error is None:
            logger.info("version %s is loaded", name)
        else:
            unforeseen = None if isinstance(error, FORESEEN) else error
            said = f"version {name} cannot be loaded and does not serve; {self._instead_of(name)}"
            logger.error("%s: %s", said, error, exc_info=unforeseen)

    def _instead_of(self, name: str) -> str:
        """What answers where this version cannot be loaded."""
        projects = [str(project_id) for project_id, answering in self._answering.items() if answering == name]
        if projects:
            return f"the base weights answer for project {', '.join(projects)} in its place"
        return "what served before it goes on"

    def _take_in(self, name: str, predictor: Predictor) -> None:
        self._failed_at.pop(name, None)
        self._answering |= {project_id: name for project_id, wanted in self._wanted.items() if wanted == name}
        serving = set(self._answering.values())
        for retired in self._loaded.keys() - serving:
            del self._loaded[retired]
        if name in serving:
            self._loaded[name] = predictor


def _room(predictor: Predictor) -> int:
    return 0 if is_provisional(predictor.version) else 1


def _follow(models: weakref.ref[ProjectModels]) -> None:
    """Ends when nobody has the models any more."""
    while (followed := models()) is not None:
        followed.catch_up()
        del followed
        time.sleep(CHECK_SECONDS)
