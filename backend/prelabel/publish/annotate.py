"""Push predictions for a whole project, in small batches that can be interrupted, and take back stale ones.

Which tasks are predicted, by the versions of the predictions that they have ("own": prelabel's, see
own_versions):

    predictions of the task          plain     stale_only
    the current version              no        no
    of it, but failed (see failed)   yes       yes
    own, of other versions only      yes       yes
    none, or other people's only     yes       no

With `least_sure_first` a task without a prediction of prelabel's comes first, then the one whose score is
lowest; else they come by their ids. Labelled tasks are left alone unless `include_labelled`. A task that has the
current version afterwards loses its own stale and failed predictions (see stale.py), also where an earlier run was
killed before it came to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from prelabel.errors import PrelabelError
from prelabel.inference.predictor import OnFeatures, Predictor
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.project import Project
from prelabel.labelstudio.config.repeaters import has_repeater
from prelabel.publish.failed import FailedPredictions
from prelabel.publish.stale import remove_stale
from prelabel.publish.storing import store_predictions
from prelabel.publish.survey import SurveyedTask, survey
from prelabel.versions.own_versions import OwnVersions

BATCH_SIZE = 8
"""Tasks per push: what an interruption loses at most. A push costs Label Studio 0.15 s per 1,000 tasks."""


class AnnotateError(PrelabelError):
    """A project for which every prediction would be empty: one sentence, with the remedy in it."""


@dataclass(frozen=True)
class TaskProblem:
    """A task without a prediction, or with one that lacks something (`is_pushed`): one sentence on why."""

    task_id: int
    reason: str
    is_pushed: bool = False


@dataclass
class Summary:
    """How far a run is, and in the end what it came to; all numbers are tasks but `removed`.

    `total`: tasks to visit, `done` of them visited. `pushed`: got a new prediction. `removed`: stale
    predictions taken back. `current`: had the current version before. `labelled`: left alone because somebody
    labelled them. `unasked`: left alone because only stale predictions were to be replaced. `left_out`: a sentence
    for each tag of the labelling config that is not followed.
    """

    version: str
    total: int = 0
    done: int = 0
    pushed: int = 0
    removed: int = 0
    current: int = 0
    labelled: int = 0
    unasked: int = 0
    problems: list[TaskProblem] = field(default_factory=list)
    left_out: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        """Tasks that got no prediction; the next run tries them again."""
        return sum(not problem.is_pushed for problem in self.problems)


def annotate_project(
    client: LabelStudioClient,
    predictor: Predictor,
    project: Project,
    own: OwnVersions,
    *,
    stale_only: bool = False,
    include_labelled: bool = False,
    least_sure_first: bool = False,
    even_empty: bool = False,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[Summary], None] = lambda summary: None,
    keep_going: Callable[[], bool] = lambda: True,
    on_features: OnFeatures | None = None,
) -> Summary:
    """Give the project's tasks predictions of this predictor's version; see the module for which tasks.

    `on_progress` gets the summary so far, first when the work is known, then after every batch. `keep_going` is
    asked before every batch; on a no the rest is left to another run. `on_features`: see Predictor.predict.
    `even_empty`: go on where the version knows no label of the project: a task without a prediction has no place. A
    task whose image cannot be read, or whose prediction Label Studio refuses, is named in the summary and costs the
    others nothing. Raises AnnotateError and LabelConfigError before anything is written; LabelStudioError
    where Label Studio stops answering: what was pushed stays, and another run goes on from there.
    """
    spec = predictor.label_spec(project.label_config)
    _check_usable(predictor, spec, even_empty)
    failed = FailedPredictions(client, project.id, predictor.version, project.shown_version)
    run = _Run(client, predictor, project, own, failed, on_features)
    run.summary.left_out = spec.left_out
    tasks = survey(client, project.id, own.__contains__) if least_sure_first else survey(client, project.id)
    run.plan(tasks, stale_only, include_labelled)
    on_progress(run.summary)
    for _ in run.steps(batch_size, keep_going):
        on_progress(run.summary)
    return run.summary


class _Run:
    """One run: what is to be done, and how much of it is."""

    def __init__(
        self,
        client: LabelStudioClient,
        predictor: Predictor,
        project: Project,
        own: OwnVersions,
        failed: FailedPredictions,
        on_features: OnFeatures | None,
    ) -> None:
        self._client = client
        self._predictor = predictor
        self._project = project
        self._own = own
        self._failed = failed
        self._on_features = on_features
        self._to_predict: list[SurveyedTask] = []
        self._to_clean: list[SurveyedTask] = []
        self.summary = Summary(predictor.version)

    def plan(self, tasks: Iterable[SurveyedTask], stale_only: bool, include_labelled: bool) -> None:
        """Sort the tasks by what is to be done for them."""
        summary = self.summary
        for task in tasks:
            if task.is_labelled and not include_labelled:
                summary.labelled += 1
            elif self._failed.are_all_of(task):
                self._to_predict.append(task)
            elif summary.version in task.versions:
                summary.current += 1
                self._to_clean += [task] if self._has_stale(task) else []
            elif stale_only and not self._has_stale(task):
                summary.unasked += 1
            else:
                self._to_predict.append(task)
        self._to_predict.sort(key=lambda task: (task.score is not None, task.score or 0, task.id))
        summary.total = len(self._to_predict) + len(self._to_clean)

    def steps(self, batch_size: int, keep_going: Callable[[], bool]) -> Iterator[None]:
        """Do the work, a batch of tasks per step."""
        for batch in _batches(self._to_predict, batch_size):
            if not keep_going():
                return
            self._push(batch, self._predict(batch))
            yield
        for batch in _batches(self._to_clean, batch_size):
            if not keep_going():
                return
            self._clean(batch)
            self.summary.done += len(batch)
            yield

    def _has_stale(self, task: SurveyedTask) -> bool:
        return any(version in self._own and version != self.summary.version for version in task.versions)

    def _has_failed(self, task: SurveyedTask) -> bool:
        """Of a task that is predicted although it has the current version."""
        return self.summary.version in task.versions

    def _predict(self, batch: Sequence[SurveyedTask]) -> dict[int, dict[str, Any]]:
        """Task id -> prediction, for the tasks that have one; what was wrong with the others is noted."""
        tasks = [{"id": task.id, "data": task.data} for task in batch]
        outcomes = self._predictor.predict(
            tasks, self._project.label_config, self._project.id, on_features=self._on_features
        )
        predictions = {}
        for task, outcome in zip(batch, outcomes, strict=True):
            if outcome.failures:
                self.summary.problems.append(TaskProblem(task.id, outcome.why, not outcome.is_blind))
            if not outcome.is_blind:
                predictions[task.id] = {"task": task.id, **outcome.prediction}
        return predictions

    def _push(self, batch: Sequence[SurveyedTask], predictions: dict[int, dict[str, Any]]) -> None:
        of_pages = has_repeater(self._project.label_config)
        stored = list(predictions.values())
        refused = store_predictions(self._client, self._project.id, stored, of_pages=of_pages)
        self.summary.problems += [TaskProblem(task_id, reason) for task_id, reason in refused.items()]
        pushed = [task for task in batch if task.id in predictions and task.id not in refused]
        self.summary.pushed += len(pushed)
        self._clean([task for task in pushed if self._has_stale(task) or self._has_failed(task)])
        self.summary.done += len(batch)

    def _clean(self, batch: Iterable[SurveyedTask]) -> None:
        for task in batch:
            self.summary.removed += remove_stale(self._client, task.id, self.summary.version, self._own)


def _check_usable(predictor: Predictor, spec: LabelSpec, even_empty: bool) -> None:
    if even_empty and spec.image_keys:
        return
    if reason := predictor.capabilities.why_empty(spec):
        raise AnnotateError(f"Every prediction would be empty, because {reason}.")


def _batches(tasks: Iterable[SurveyedTask], size: int) -> Iterator[list[SurveyedTask]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, size)):
        yield batch
