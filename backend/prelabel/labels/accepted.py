"""The accepted labels of a project: one annotation per task, read back through Label Studio's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class AcceptedTask:
    """A task with the annotation that counts. `data`: its URLs; `result`: the annotation's regions, maybe none.

    `annotations`: how many were submitted for the task, by anybody. `changed_at`: when the annotation was submitted
    or updated last, LONG_AGO where Label Studio does not say.
    """

    task_id: int
    data: Mapping[str, Any]
    annotation_id: int
    result: Sequence[Mapping[str, Any]]
    annotations: int
    changed_at: datetime = LONG_AGO


def accepted_tasks(client: LabelStudioClient, project_id: int) -> list[AcceptedTask]:
    """The tasks that somebody submitted labels for, in the order of their ids. Raises LabelStudioError."""
    found = (_accepted(task) for task in client.export(project_id))
    return sorted((task for task in found if task is not None), key=lambda task: task.task_id)


def submitted(annotations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The annotations that a person stands for: not skipped, not cancelled (drafts are no annotations), and with a
    result. Label Studio also stores annotations without one, which say nothing; an empty result says "nothing is here".
    """
    return [one for one in annotations if not one.get("was_cancelled") and one.get("result") is not None]


def annotation_that_counts(annotations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of a task's annotations the one to learn from: a ground truth if there is one, and the newest of those."""
    return max(submitted(annotations), key=_rank, default=None)


def _accepted(task: Mapping[str, Any]) -> AcceptedTask | None:
    annotations = task["annotations"]
    counts = annotation_that_counts(annotations)
    if counts is None:
        return None
    regions = [region for region in counts["result"] if isinstance(region, Mapping)]
    return AcceptedTask(
        task["id"], task["data"], counts["id"], regions, len(submitted(annotations)), _changed_at(counts)
    )


def _rank(annotation: Mapping[str, Any]) -> tuple[bool, datetime, int]:
    """Ground truth first, then the last change; the id where two changed at once."""
    return bool(annotation.get("ground_truth")), _changed_at(annotation), annotation["id"]


def _changed_at(annotation: Mapping[str, Any]) -> datetime:
    return _time(annotation.get("updated_at") or annotation.get("created_at"))


def _time(text: Any) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return LONG_AGO
    return time if time.tzinfo else time.replace(tzinfo=UTC)
