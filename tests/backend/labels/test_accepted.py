"""Which annotation of a task counts."""

from __future__ import annotations

from typing import Any

import pytest
from stand_in import Answer, StandIn, stand_in

from prelabel.labels.accepted import accepted_tasks, annotation_that_counts
from prelabel.labelstudio.api.client import LabelStudioClient, LabelStudioError

EARLY, LATE, LATEST = "2026-01-01T10:00:00Z", "2026-01-01T10:00:00.500000Z", "2026-01-01T12:30:00+02:00"


def annotation(number: int, updated_at: Any = EARLY, **fields: Any) -> dict[str, Any]:
    fixed = {"id": number, "was_cancelled": False, "ground_truth": False, "result": [{"id": f"r{number}"}]}
    return fixed | {"updated_at": updated_at} | fields


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([], None),
        ([annotation(1, was_cancelled=True)], None),
        ([annotation(1), annotation(2, LATE, was_cancelled=True)], 1),
        ([annotation(2), annotation(1, LATE)], 1),
        ([annotation(1, LATEST), annotation(2, LATE)], 1),
        ([annotation(1), annotation(2)], 2),
        ([annotation(1, ground_truth=True), annotation(2, LATE)], 1),
        ([annotation(1, ground_truth=True, was_cancelled=True), annotation(2)], 2),
        ([annotation(1, LATE, ground_truth=True), annotation(2, EARLY, ground_truth=True)], 1),
        ([annotation(1, None, created_at=LATE), annotation(2)], 1),
        ([annotation(1, None), annotation(2)], 2),
    ],
    ids=[
        "nobody",
        "skipped",
        "skipping is no label",
        "the newest, not the last",
        "time zones",
        "at once: the id",
        "ground truth before newer ones",
        "a skipped ground truth",
        "the newest ground truth",
        "never updated",
        "without a time",
    ],
)
def test_the_annotation_that_counts(annotations: list[dict[str, Any]], expected: int | None) -> None:
    found = annotation_that_counts(annotations)
    assert (found and found["id"]) == expected


def task(number: int, *annotations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": number, "data": {"image": f"/{number}.png"}, "annotations": list(annotations)} | fields


def export(server: StandIn, *tasks: dict[str, Any]) -> LabelStudioClient:
    server.answers("/api/projects/7/export", Answer(list(tasks)))
    return LabelStudioClient(server.url, "legacy-token")


def test_accepted_tasks_come_in_the_order_of_their_ids_with_what_was_submitted() -> None:
    with stand_in() as server:
        client = export(
            server,
            task(5, annotation(3), annotation(4, LATE), annotation(6, LATEST, was_cancelled=True)),
            task(2, annotation(1, result=[])),
            task(3, annotation(2, was_cancelled=True)),
            task(4, drafts=[annotation(9)]),
        )
        found = accepted_tasks(client, 7)
        [request] = server.asked("/api/projects/7/export")
    assert request.query == {"exportType": "JSON"}
    assert [(one.task_id, one.annotation_id, one.annotations) for one in found] == [(2, 1, 1), (5, 4, 2)]
    assert found[0].result == [] and found[1].data == {"image": "/5.png"}


def test_a_project_that_is_gone_is_an_error() -> None:
    with stand_in() as server, pytest.raises(LabelStudioError, match="404"):
        accepted_tasks(LabelStudioClient(server.url, "legacy-token"), 7)
