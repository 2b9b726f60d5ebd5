"""Empty predictions that stand for an image which could not be had, as earlier versions of prelabel stored them.

Label Studio never asks again for a task that has a prediction, so `annotate` does. Such a prediction has no region, the
score 0 and no cluster. An empty prediction of a task without failures has a score above 0 (see LOWEST_SCORE), and one
that the queue has given a place has a cluster, also where its place is the first, 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.publish.survey import SurveyedTask


def is_failed(prediction: Mapping[str, Any]) -> bool:
    """Whether a prediction of prelabel's is empty for want of an image."""
    return not prediction["result"] and prediction["score"] == 0 and prediction.get("cluster") is None


class FailedPredictions:
    """Finds the tasks of a project all of whose predictions of one version are failed ones.

    `shown`: the version that the project shows. Label Studio's score column tells its tasks with a score of 0, and only
    those take a request. Where it shows another version, all predictions of the project are read, in one request.
    """

    def __init__(self, client: LabelStudioClient, project_id: int, version: str, shown: str) -> None:
        self._client = client
        self._project_id = project_id
        self._version = version
        self._is_shown = shown == version

    def are_all_of(self, task: SurveyedTask) -> bool:
        """Whether the task has predictions of the version, and all of them failed. Raises LabelStudioError."""
        if self._version not in task.versions:
            return False
        if not self._is_shown:
            return task.id in self._tasks
        return not task.shown_score and task.id in self._in(self._client.task_predictions(task.id))

    @cached_property
    def _tasks(self) -> set[int]:
        return self._in(self._client.predictions(self._project_id))

    def _in(self, rows: Iterable[Mapping[str, Any]]) -> set[int]:
        """The tasks of these predictions that have failed ones of the version, and no other of it."""
        of_version = [row for row in rows if row["model_version"] == self._version]
        return {row["task"] for row in of_version} - {row["task"] for row in of_version if not is_failed(row)}
