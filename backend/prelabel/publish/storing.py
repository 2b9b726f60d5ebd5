"""Storing predictions in Label Studio so that one it refuses does not cost the others theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.publish.failed import is_failed

BAD_REQUEST = 400
"""Label Studio's answer to a batch with a task that is gone; nothing of the batch is stored then."""


def store_predictions(
    client: LabelStudioClient,
    project_id: int,
    predictions: Sequence[dict[str, Any]],
    *,
    of_pages: bool = False,
) -> dict[int, str]:
    """Store predictions (`task`, `result`, `score`, `model_version`); task id -> reason for those not stored.

    `of_pages`: the labelling config has a Repeater, whose pages Label Studio takes one by one only (0.1 s each).
    Raises LabelStudioError where Label Studio does not answer, or fails for a reason of its own.
    """
    if not predictions:
        return {}
    if of_pages:
        return _add_one_by_one(client, predictions)
    try:
        stored = client.import_predictions(project_id, predictions)
    except LabelStudioError as error:
        if error.status != BAD_REQUEST:
            raise
        if len(predictions) == 1:
            return {predictions[0]["task"]: str(error)}
        return _store_one_by_one(client, project_id, predictions)
    if stored == len(predictions):
        return {}
    reason = "Label Studio dropped the prediction without saying why: its log does"
    return {prediction["task"]: reason for prediction in predictions if not _is_stored(client, prediction)}


def _store_one_by_one(
    client: LabelStudioClient, project_id: int, predictions: Sequence[dict[str, Any]]
) -> dict[int, str]:
    refused: dict[int, str] = {}
    for prediction in predictions:
        refused |= store_predictions(client, project_id, [prediction])
    return refused


def _add_one_by_one(client: LabelStudioClient, predictions: Sequence[dict[str, Any]]) -> dict[int, str]:
    refused: dict[int, str] = {}
    for prediction in predictions:
        try:
            client.add_prediction(prediction)
        except LabelStudioError as error:
            if error.status != BAD_REQUEST:
                raise
            refused[prediction["task"]] = str(error)
    return refused


def _is_stored(client: LabelStudioClient, prediction: dict[str, Any]) -> bool:
    """Also beside a failed one of the same version, which it is to replace."""
    rows = client.task_predictions(prediction["task"])
    return any(
        row["model_version"] == prediction["model_version"] and is_failed(row) == is_failed(prediction)
        for row in rows
    )
