"""Label Studio away at any request of `annotate` and of a run: it ends in a sentence, stores nothing wrong, and goes on
when Label Studio is back.

Numbers count through all outages: every kind, one request long or for good, from every request on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import CocoExamples
from fbnetv3.detector import Detector
from fbnetv3.weights import Checkpoint
from measuring.faults.studio import KINDS, Outage, Studio
from measuring.faults.trials import Broke, Subject, Trial
from measuring.label_studio import PROJECT, TOKEN, Json, label_studio
from prelabel.folders import run_folder
from prelabel.labelstudio.api.client import LabelStudioClient, label_studio_client
from prelabel.labelstudio.api.connection import Connection
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.publish.annotate import annotate_project
from prelabel.publish.promotion import publish
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim, request_run
from prelabel.store.runs import Run, RunState, get_run
from prelabel.training import steps as learning_steps
from prelabel.training.steps import LearningSteps
from prelabel.training.training_run import TrainingRun
from prelabel.training.triggers import TriggerRules
from prelabel.versions.loading import build_predictor
from prelabel.versions.own_versions import OwnVersions
from prelabel.versions.records import project_versions, serving_version, version_weights

#: Of the network's input, px: labels that the starter learns are told apart at that size.
MIN_SIZE, MAX_SIZE = 96, 128
EPOCHS = 15.0
#: Seconds that prelabel waits here: an outage that hangs would take minutes.
PATIENCE = 1.0
FOR_GOOD = 10**6
#: Outages that follow each other by number are of different kinds and steps: any few of them are a sample.
STRIDE = 7919
BATCH = 2
LABELS = {
    f"kind {number}": label
    for number, label in enumerate(("apple", "banana", "mug", "bottle", "book", "leaf"))
}


class _Outages(Subject):
    """A Label Studio that runs, and the outages of the requests that `_work` makes of it."""

    limit = 180.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outage = Outage()
        self._studio = Studio(folder / "scenes")
        self._running = ExitStack()
        self._url = self._running.enter_context(label_studio(self._studio, self._outage))
        _be_impatient()
        learning_steps.fine_tune = _remembering(learning_steps.fine_tune)  # type: ignore[attr-defined]
        self._prepare()

    def _prepare(self) -> None:
        """Find out what comes of it without an outage, and how many requests that takes."""
        raise NotImplementedError

    def _attempt(self, number: int) -> str:
        """Under the outage that has begun, and after it."""
        raise NotImplementedError

    def trial(self, number: int, _: random.Random) -> Trial:
        """The outage of this number."""
        every = list(product(range(1, self._requests + 1), KINDS, (1, FOR_GOOD)))
        first, kind, length = every[number * STRIDE % len(every)]
        said = (
            f"request {first} of {self._requests}: {kind}, {'one request' if length == 1 else 'for good'}\n"
        )

        def attempt() -> str:
            self._studio.forget()
            self._outage.begin(kind, first, length)
            return self._attempt(number)

        return Trial(kind, {"outage.txt": said.encode()}, attempt)

    def _settings(self, home: Path) -> Settings:
        return load_settings(
            prelabel_home=home,
            model_dir=home / "models",
            label_studio_url=self._url,
            label_studio_api_key=TOKEN,
            prelabel_weights="starter",
            prelabel_engine="torch",
            prelabel_image_cache_bytes=0,
            prelabel_allow_private_addresses=True,
            prelabel_fetch_timeout=PATIENCE,
            prelabel_train_epochs=EPOCHS,
            prelabel_min_size=MIN_SIZE,
            prelabel_max_size=MAX_SIZE,
            prelabel_train_min_size=MIN_SIZE,
            prelabel_train_max_size=MAX_SIZE,
            prelabel_training_threads=1,
            prelabel_inference_threads=1,
        )


class AnnotateOutages(_Outages):
    """`prelabel annotate`: what is stored is what would have been without the outage."""

    def _prepare(self) -> None:
        detector = Detector.load("starter", engine="torch", threads=1, min_size=MIN_SIZE, max_size=MAX_SIZE)
        names = {theirs: ours for ours, theirs in LABELS.items()}
        detector = detector.with_labels([names[label] for label in detector.labels])
        self._predictor = build_predictor(self._settings(self._folder / "home"), detector)
        self._client = LabelStudioClient(self._url, TOKEN)
        self._annotate()
        self._expected = {task: _regions(self._studio.of_task(task)[0]) for task in self._studio.waiting}
        if not all(self._expected.values()):
            raise SystemExit("the starter weights find nothing in these scenes")
        self._requests = self._outage.requests

    def _annotate(self) -> None:
        own = OwnVersions.known_here(self._predictor.version)
        project = read_project(self._client, PROJECT)
        annotate_project(self._client, self._predictor, project, own, batch_size=BATCH)

    def _attempt(self, _: int) -> str:
        word = "through"
        try:
            self._annotate()
        except LabelStudioError as error:
            _check_sentence(str(error))
            word = "stopped"
        self._check(complete=False)
        self._outage.end()
        self._annotate()
        self._check(complete=True)
        return word

    def _check(self, *, complete: bool) -> None:
        for task, expected in self._expected.items():
            rows = self._studio.of_task(task)
            if len(rows) > 1 or (complete and not rows):
                raise Broke(f"task {task} has {len(rows)} predictions")
            if rows and _regions(rows[0]) != expected:
                raise Broke(f"task {task} has another prediction: {len(rows[0]['result'])} regions")


class RunOutages(_Outages):
    """A run from its labels to its version, and the refresh of the predictions after it."""

    def _prepare(self) -> None:
        settings = self._settings(self._folder / "undisturbed")
        database = Database.open(settings.database_url)
        run = self._run(settings, database)
        if run.state != RunState.PROMOTED:
            raise SystemExit(f"the run without an outage is {run.state}: {run.reason}")
        _refresh(settings, database)
        database.close()
        self._requests = self._outage.requests

    def _attempt(self, number: int) -> str:
        settings = self._settings(self._folder / str(number))
        database = Database.open(settings.database_url)
        try:
            run = self._run(settings, database)
            try:
                _refresh(settings, database)
            except LabelStudioError as error:
                _check_sentence(str(error))
            self._check(settings, database, run)
            self._outage.end()
            if run.state == RunState.FAILED:
                again = self._run(settings, database)
                if again.state not in (RunState.PROMOTED, RunState.REJECTED):
                    raise Broke(f"Label Studio is back, and the next run is {again.state}: {again.reason}")
            _refresh(settings, database)
            self._check_stored(settings, database)
        finally:
            database.close()
        return str(run.state)

    def _run(self, settings: Settings, database: Database) -> Run:
        """A run in this process, as its own process carries it out."""
        run = request_run(database, PROJECT, "Start Training")
        claim(database, run.id)
        folder = run_folder(settings, run)
        folder.mkdir(parents=True)
        steps = LearningSteps(settings, database, run, folder)
        TrainingRun(database, get_run(database, run.id), folder, steps, TriggerRules.of(settings)).carry_out()
        return get_run(database, run.id)

    def _check(self, settings: Settings, database: Database, run: Run) -> None:
        """The run has ended, for a reason that is told, with all of a version or nothing of one."""
        if run.state not in (RunState.PROMOTED, RunState.REJECTED, RunState.FAILED):
            raise Broke(f"the run is {run.state}")
        _check_sentence(run.reason or "")
        if "unforeseen" in (run.reason or ""):
            raise Broke(str(run.reason))
        versions = project_versions(database, PROJECT)
        if len(versions) != (run.state != RunState.FAILED):
            raise Broke(f"the run is {run.state}, and there are {len(versions)} versions")

    def _check_stored(self, settings: Settings, database: Database) -> None:
        """Each waiting task has one prediction, by what serves."""
        serving = serving_version(database, PROJECT)
        if serving is None:
            return
        if not version_weights(settings, serving).is_file():
            raise Broke(f"{serving.name} has no weights")
        if self._studio.shown != serving.name or self._studio.backend["title"] != serving.name:
            raise Broke(f"Label Studio shows {self._studio.shown!r} of {self._studio.backend['title']!r}")
        for task in self._studio.waiting:
            versions = [row["model_version"] for row in self._studio.of_task(task)]
            if versions != [serving.name]:
                raise Broke(f"task {task} has predictions of {versions} and is served by {serving.name}")


def _refresh(settings: Settings, database: Database) -> None:
    """As the process that the worker starts for it does."""
    client = label_studio_client(settings)
    publish(settings, database, client, PROJECT)
    refresh_predictions(settings, database, client, PROJECT)


def _regions(prediction: Json) -> list[Json]:
    """Without what is drawn at random each time."""
    return [{**region, "id": None, "parentID": None} for region in prediction["result"]]


def _check_sentence(text: str) -> None:
    if not text.strip() or "\n" in text or "Traceback" in text:
        raise Broke(f"not one sentence: {text!r}")


def _be_impatient() -> None:
    """Let no request to Label Studio wait for longer than PATIENCE."""
    send = Connection.send

    def quickly(self: Connection, method: str, path: str, **options: Any) -> Any:
        return send(self, method, path, **{**options, "timeout": PATIENCE})

    Connection.send = quickly  # type: ignore[method-assign]


def _remembering(fine_tune: Callable[..., Any]) -> Callable[..., Any]:
    """Trainings on the same images are one: an outage changes what is asked of Label Studio, not what is learnt."""
    done: dict[tuple[str, ...], Any] = {}

    def remembered(start: Checkpoint, train: CocoExamples, *others: Any, **more: Any) -> Any:
        images = tuple(record["file_name"] for record, _ in train.records)
        if images not in done:
            done[images] = fine_tune(start, train, *others, **more)
        return done[images]

    return remembered
