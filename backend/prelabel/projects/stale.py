"""Taking back the stale predictions of a task: prelabel's own, of other versions, and only where nobody is
hurt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prelabel.labelstudio.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.projects.own_versions import OwnVersions

NOT_FOUND = 404


def remove_stale(client: LabelStudioClient, task_id: int, current: str, own: OwnVersions) -> int:
    """Delete the task's own predictions of other versions than `current`; how many went.

    They stay while the task has a draft, of whomever: Label Studio refuses to store an annotation made from a
    prediction that is gone. A prediction that a stored annotation was made from stays for good: it says what
    the annotator changed. Raises LabelStudioError; a task that was deleted meanwhile is no error.
    """
    try:
        task = client.task(task_id)
    except LabelStudioError as error:
        if error.status == NOT_FOUND:
            return 0
        raise
    if task.get("draft_exists"):
        return 0
    removed = 0
    for prediction_id in _removable(task, current, own):
        removed += _delete(client, prediction_id)
    return removed


def _removable(task: dict[str, Any], current: str, own: OwnVersions) -> Iterator[int]:
    parents = {annotation["parent_prediction"] for annotation in task["annotations"]}
    for prediction in task["predictions"]:
        version = prediction["model_version"]
        if version in own and version != current and prediction["id"] not in parents:
            yield prediction["id"]


def _delete(client: LabelStudioClient, prediction_id: int) -> bool:
    """Whether it was there to be deleted."""
    try:
        client.delete_prediction(prediction_id)
    except LabelStudioError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True
