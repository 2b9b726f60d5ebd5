"""SIGKILL to the processes of a real training at any moment: the run comes to its verdict once, and nothing is lost.

Each trial is a `prelabel serve` of its own with its worker; after it is killed it is started again, as a service
manager does. Needs Linux, whose /proc tells the processes.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import text

from fbnetv3.weights import WeightsError
from measuring.faults.outages import EPOCHS, MAX_SIZE, MIN_SIZE
from measuring.faults.studio import Studio
from measuring.faults.trials import Broke, Outcome, dice_of
from measuring.label_studio import PROJECT, TOKEN, label_studio
from measuring.processes import RunningServer, prelabel
from measuring.traffic import get, post
from measuring.whole_runs import ENDS, RUNS, START_TRAINING
from measuring.workload import webhooks
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.versions.files import RECORD, WEIGHTS
from prelabel.versions.records import VersionError, project_versions, serving_version, version_checkpoint
from prelabel.worker.refreshing import RETRY_SECONDS

PART = "kills"
#: Seconds between two looks, and for all of it at least: a refresh that was killed is begun again after RETRY_SECONDS.
#: At most so many times as long as without a kill.
LOOK = 0.1
PATIENCE = RETRY_SECONDS + 300.0
SLOWER = 4
FIRST_PATIENCE = 3600.0
#: Deliveries before and after each kill, of which all that were answered must be kept.
WEBHOOKS = 5
#: What is killed -> the module that its command line names; the server's own processes name none.
MODULES = {"the run": "jobs.run_process", "the worker": "jobs.worker", "the refresh": "jobs.refreshing"}
TARGETS = (*MODULES, "the server", "the server's child", "everything")


def attempt(folder: Path, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
    """A life for each of these numbers; one without a kill comes first, to know how long it takes."""
    studio = Studio(folder / "scenes")
    with label_studio(studio) as address:
        whole = _Life(folder / "undisturbed", studio, address, FIRST_PATIENCE).live(lambda seconds: None)
        patience = max(PATIENCE, SLOWER * whole)
        for number in numbers:
            dice = dice_of(seed, PART, number)
            target, moment = TARGETS[number % len(TARGETS)], dice.uniform(0, whole)
            life = _Life(folder / str(number), studio, address, patience)
            said = f"{target}, {moment:.1f} s after the start of {whole:.1f} s\n"
            try:
                life.live(life.killing(target, moment))
                yield Outcome(number, target, life.word)
            except (Broke, OSError) as error:
                log = (folder / str(number) / "log").read_bytes()
                yield Outcome(number, target, fault=str(error), files={"kill.txt": said.encode(), "log": log})


class _Life:
    """A server with its home from the first start to the predictions of the version that it learnt."""

    def __init__(self, home: Path, studio: Studio, address: str, patience: float) -> None:
        self._home = home
        self._patience = patience
        self._studio = studio
        self._settings = load_settings(prelabel_home=home, model_dir=home / "models")
        self._address = address
        self._stack = ExitStack()
        self._delivered = 0
        self._deliveries = webhooks(2 * WEBHOOKS)
        self.word = "it was over before"
        self._server: RunningServer

    def live(self, disturb: Callable[[float], None]) -> float:
        """Until all is done; seconds that it took. `disturb` is told after each look how long it has been."""
        self._studio.forget()
        with self._stack:
            self._start()
            self._deliver(WEBHOOKS)
            post(self._server.port, "/webhook", START_TRAINING)
            started = time.monotonic()
            while not self._is_done():
                if time.monotonic() - started > self._patience:
                    raise Broke(f"not done after {self._patience:.0f} s: {self._stand()}")
                time.sleep(LOOK)
                disturb(time.monotonic() - started)
            seconds = time.monotonic() - started
            self._check()
        return seconds

    def killing(self, target: str, moment: float) -> Callable[[float], None]:
        """To be told the time: kills once, at the moment or as soon after it as the target is there."""
        done = False

        def disturb(seconds: float) -> None:
            nonlocal done
            if done or seconds < moment or not (found := _processes(self._server.process_id, target)):
                return
            done = True
            self.word = f"killed in {self._stage()}"
            for process_id in found:
                os.kill(process_id, signal.SIGKILL)
            if self._server.process_id in found:
                self._stack.pop_all().close()
                self._start()
            self._deliver(WEBHOOKS)

        return disturb

    def _start(self) -> None:
        settings = {
            "MODEL_DIR": str(self._home / "models"),
            "LABEL_STUDIO_URL": self._address,
            "LABEL_STUDIO_API_KEY": TOKEN,
            "PRELABEL_WORKER": "true",
            "PRELABEL_TRAIN_EPOCHS": str(EPOCHS),
            "PRELABEL_TRAINING_THREADS": "1",
            "PRELABEL_TRAINING_NICE": "0",
            "LOG_LEVEL": "INFO",
            **{f"PRELABEL_{name}MIN_SIZE": str(MIN_SIZE) for name in ("", "TRAIN_")},
            **{f"PRELABEL_{name}MAX_SIZE": str(MAX_SIZE) for name in ("", "TRAIN_")},
        }
        self._server = self._stack.enter_context(prelabel(self._home, "starter", 1, "torch", **settings))

    def _deliver(self, count: int) -> None:
        """Webhooks; one that is not answered counts for nothing."""
        for _ in range(count):
            try:
                post(self._server.port, "/webhook", self._deliveries.pop())
                self._delivered += 1
            except OSError:
                continue

    def _runs(self) -> list[dict[str, str | None]]:
        try:
            return list(json.loads(get(self._server.port, RUNS)))
        except OSError:
            return []

    def _stage(self) -> str:
        runs = self._runs()
        return str(runs[0]["stage"] or runs[0]["state"]) if runs else "the start"

    def _stand(self) -> str:
        return ", ".join(f"run {run['id']} is {run['state']}: {run['reason']}" for run in self._runs())

    def _is_done(self) -> bool:
        """The run has ended, and where a version serves, the waiting tasks have its predictions."""
        runs = self._runs()
        if not runs or any(run["state"] not in ENDS for run in runs):
            return False
        version = runs[0]["version"] if runs[0]["state"] == "promoted" else None
        return version is None or all(
            any(row["model_version"] == version for row in self._studio.of_task(task))
            for task in self._studio.waiting
        )

    def _check(self) -> None:
        runs = self._runs()
        if [run["state"] for run in runs] not in (["promoted"], ["rejected"]):
            raise Broke(self._stand())
        database = Database.open(self._settings.database_url)
        try:
            _check_versions(self._settings, database)
            _check_events(database, self._delivered)
        finally:
            database.close()
        for task in self._studio.waiting:
            versions = [row["model_version"] for row in self._studio.of_task(task)]
            if len(versions) > 1:
                raise Broke(f"task {task} has predictions of {versions}")


def _check_versions(settings: Settings, database: Database) -> None:
    """One version, that can be read, and no folder that is half of one."""
    versions = project_versions(database, PROJECT)
    if len(versions) != 1:
        raise Broke(f"{len(versions)} versions")
    try:
        if serving := serving_version(database, PROJECT):
            version_checkpoint(settings, serving)
    except (VersionError, WeightsError) as error:
        raise Broke(f"the version that serves: {error}") from None
    for folder in (settings.model_folder / "versions").glob("p*"):
        if {path.name for path in folder.iterdir()} < {RECORD, WEIGHTS}:
            raise Broke(f"half a version: {folder.name}")


def _check_events(database: Database, delivered: int) -> None:
    with database.session() as session:
        kept = session.scalar(text("SELECT count(*) FROM webhook_events WHERE action = 'ANNOTATION_CREATED'"))
    if kept < delivered:
        raise Broke(f"{delivered} webhooks were answered, and {kept} are kept")


def _processes(server: int, target: str) -> list[int]:
    """The processes of this server that the target means; none where there are none now."""
    parents = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/stat")}
    children: dict[int, list[int]] = {}
    for process_id, path in parents.items():
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(process_id)
    family = _descendants(server, children)
    commands = {process_id: _command(process_id) for process_id in family}
    if target == "everything":
        return [server, *family]
    if target == "the server":
        return [server]
    if target in MODULES:
        return [process_id for process_id in family if MODULES[target] in commands[process_id]]
    return [
        process_id for process_id in children.get(server, []) if "prelabel.worker" not in commands[process_id]
    ]


def _descendants(process_id: int, children: dict[int, list[int]]) -> list[int]:
    own = children.get(process_id, [])
    return [*own, *(other for child in own for other in _descendants(child, children))]


def _command(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
