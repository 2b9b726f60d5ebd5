"""The tasks of a project and the model versions of their predictions, without fetching the predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient

PAGE_SIZE = 200
"""About 0.4 s of Label Studio per page; `fields=all` would take twice that and bring every mask along."""

NO_HIDDEN_COLUMNS: dict[str, Any] = {"hiddenColumns": {"explore": [], "labeling": []}}
"""Without this the Data Manager does not compute `predictions_model_versions`."""

SCORE_COLUMN = "predictions_score"

MAX_COLUMN_LENGTH = 500
"""Where the Data Manager cuts `predictions_model_versions`, in the middle of a version."""


@dataclass(frozen=True)
class SurveyedTask:
    """A task as the survey saw it. `versions`: of its predictions, each once. `is_labelled`: somebody
    submitted an annotation (a skipped task is not labelled). `score`: of its newest scored prediction, None
    without one and where no scores were asked for. `number`: counts the tasks of the project, from 1 on.
    `shown_score`: the mean of its predictions of the version that the project shows, None without one.
    """

    id: int
    data: dict[str, Any]
    versions: frozenset[str]
    is_labelled: bool
    score: float | None = None
    number: int = 0
    shown_score: float | None = None


def survey(
    client: LabelStudioClient,
    project_id: int,
    is_scored: Callable[[str | None], bool] = lambda version: False,
    filters: Sequence[dict[str, Any]] = (),
    page_size: int = PAGE_SIZE,
) -> Iterator[SurveyedTask]:
    """Every task of the project for which the `filters` (the Data Manager's JSON) hold, in the order of the ids,
    fetched page by page. Raises LabelStudioError.

    `is_scored`: tells the versions whose scores are wanted, which takes one more request for every unlabelled
    task that has such a prediction: Label Studio's score column knows only the version that the project shows.
    """
    query = dict(NO_HIDDEN_COLUMNS)
    if filters:
        query["filters"] = {"conjunction": "and", "items": [*filters]}
    for row in client.tasks(project_id, page_size, with_results=False, query=json.dumps(query)):
        versions, is_labelled = _versions(client, row), row["total_annotations"] > 0
        has_score = not is_labelled and any(map(is_scored, versions))
        score = _score(client, row["id"], is_scored) if has_score else None
        shown_score = row.get(SCORE_COLUMN)
        yield SurveyedTask(
            row["id"], row["data"], versions, is_labelled, score, row["inner_id"] or 0, shown_score
        )


def _score(client: LabelStudioClient, task_id: int, is_scored: Callable[[str | None], bool]) -> float | None:
    rows = client.task_predictions(task_id)
    scores = (row["score"] for row in reversed(rows) if is_scored(row["model_version"]))
    return next((score for score in scores if score is not None), None)


def _versions(client: LabelStudioClient, row: dict[str, Any]) -> frozenset[str]:
    """The versions in the column, or of the predictions themselves where the column may have been cut."""
    column = row["predictions_model_versions"]
    if len(column) < MAX_COLUMN_LENGTH:
        versions = [version.strip() for version in column.split(",")]
    else:
        versions = [prediction["model_version"] for prediction in client.task_predictions(row["id"])]
    return frozenset(version for version in versions if version)
