"""Taking back the stale predictions of a task: prelabel's own, of other versions or failed, and only where nobody
is hurt.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.publish.failed import is_failed
from prelabel.versions.own_versions import OwnVersions


def remove_stale(client: LabelStudioClient, task_id: int, current: str, own: OwnVersions) -> int:
    """Delete the task's own predictions of other versions than `current`, and failed ones where it has another one of
    `current`; how many went.

    They stay while the task has anybody's draft: Label Studio refuses to store an annotation made from a
    prediction that is gone. A prediction that a stored annotation was made from stays for good: it says what
    the annotator changed. Raises LabelStudioError; a task that was deleted meanwhile is no error.
    """
    try:
        task = client.task(task_id)
    except LabelStudioError as error:
        if error.status == HTTPStatus.NOT_FOUND:
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
    others = [one for one in task["predictions"] if one["model_version"] != current]
    ours = [one for one in task["predictions"] if one["model_version"] == current]
    failed = [one for one in ours if is_failed(one)]
    stale = [one for one in others if one["model_version"] in own]
    for prediction in stale + (failed if len(failed) < len(ours) else []):
        if prediction["id"] not in parents:
            yield prediction["id"]


def _delete(client: LabelStudioClient, prediction_id: int) -> bool:
    """Whether it was there to be deleted."""
    try:
        client.delete_prediction(prediction_id)
    except LabelStudioError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True
