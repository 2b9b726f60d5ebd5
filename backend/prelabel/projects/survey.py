"""The tasks of a project and the model versions of their predictions, without fetching the predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prelabel.labelstudio.client import LabelStudioClient

PAGE_SIZE = 200
"""About 0.4 s of Label Studio per page; `fields=all` would take twice that and bring every mask along."""

NO_HIDDEN_COLUMNS = json.dumps({"hiddenColumns": {"explore": [], "labeling": []}})
"""Without this the Data Manager does not compute `predictions_model_versions`."""

MAX_COLUMN_LENGTH = 500
"""Where the Data Manager cuts `predictions_model_versions`, in the middle of a version."""


@dataclass(frozen=True)
class SurveyedTask:
    """A task as the survey saw it. `versions`: of its predictions, each once. `is_labelled`: somebody
    submitted an annotation (a skipped task is not labelled).
    """

    id: int
    data: dict[str, Any]
    versions: frozenset[str]
    is_labelled: bool


def survey(client: LabelStudioClient, project_id: int) -> Iterator[SurveyedTask]:
    """Every task of the project in the order of the ids, fetched page by page. Raises LabelStudioError."""
    for row in client.tasks(project_id, PAGE_SIZE, with_results=False, query=NO_HIDDEN_COLUMNS):
        is_labelled = row["total_annotations"] > 0
        yield SurveyedTask(row["id"], row["data"], _versions(client, row), is_labelled)


def _versions(client: LabelStudioClient, row: dict[str, Any]) -> frozenset[str]:
    """The versions in the column, or of the predictions themselves where the column may have been cut."""
    column = row["predictions_model_versions"]
    if len(column) < MAX_COLUMN_LENGTH:
        versions = [version.strip() for version in column.split(",")]
    else:
        predictions = client.json("GET", "/api/predictions/", params={"task": row["id"]})
        versions = [prediction["model_version"] for prediction in predictions]
    return frozenset(version for version in versions if version)
