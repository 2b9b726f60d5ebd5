"""Calls of Label Studio's API that tests make and prelabel does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient


def import_tasks(client: LabelStudioClient, project_id: int, tasks: Sequence[dict[str, Any]]) -> list[int]:
    """Add tasks ([{"data": {...}}, ...]); their ids, in order."""
    path = f"/api/projects/{project_id}/import"
    answer = client.json("POST", path, json=list(tasks), params={"return_task_ids": "1"}, timeout=300.0)
    ids: list[int] = answer["task_ids"]
    return ids


def retrieve_predictions(client: LabelStudioClient, project_id: int, task_ids: Sequence[int]) -> None:
    """Label Studio's own action "Retrieve Predictions": it asks the connected backend for these tasks.

    A backend that fails goes unnoticed: the answer says that predictions were retrieved all the same.
    """
    client.json(
        "POST",
        "/api/dm/actions",
        params={"id": "retrieve_tasks_predictions", "project": project_id},
        json={"selectedItems": {"all": False, "included": list(task_ids)}, "ordering": []},
        timeout=600.0,
    )
