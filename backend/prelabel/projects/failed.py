"""Empty predictions that stand for an image which could not be had, as earlier versions of prelabel stored them.

Label Studio never asks again for a task that has a prediction, so `annotate` does. Such a prediction has no region, the
score 0 and no cluster. An empty prediction of a task without failures has a score above 0 (see LOWEST_SCORE), and one
that the queue has given a place has a cluster, also where its place is the first, 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prelabel.labelstudio.client import LabelStudioClient
from prelabel.projects.survey import SurveyedTask


def is_failed(prediction: Mapping[str, Any]) -> bool:
    """Whether a prediction of prelabel's is empty for want of an image."""
    return not prediction["result"] and prediction["score"] == 0 and prediction.get("cluster") is None


class FailedPredictions:
    """Finds the tasks of a project all of whose predictions of one version are failed ones.

    `shown`: the version that the project shows. Label Studio's score column tells its tasks with a score of 0, and only
    those take a request; where it shows another version, every task of this one does.
    """

    def __init__(self, client: LabelStudioClient, version: str, shown: str | None) -> None:
        self._client = client
        self._version = version
        self._is_shown = shown == version

    def are_all_of(self, task: SurveyedTask) -> bool:
        """Whether the task has predictions of the version, and all of them failed. Raises LabelStudioError."""
        if self._version not in task.versions or (self._is_shown and task.shown_score):
            return False
        rows = self._client.task_predictions(task.id)
        own = [row for row in rows if row["model_version"] == self._version]
        return bool(own) and all(map(is_failed, own))
