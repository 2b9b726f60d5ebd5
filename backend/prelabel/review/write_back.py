"""A review's findings in Label Studio: two columns of the task data and a tab; nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import Tab, put_tab
from prelabel.publish.survey import PAGE_SIZE
from prelabel.review.findings import ReviewFinding

SCORE_COLUMN, KINDS_COLUMN = "prelabel_check", "prelabel_check_kinds"
"""Keys of the task data: the confidence of a task's worst finding, 0..1, and what was found in words."""

CHECK_TAB = Tab(
    "prelabel: check",
    (f"-tasks:data.{SCORE_COLUMN}",),
    ({"filter": f"filter:tasks:data.{SCORE_COLUMN}", "operator": "greater", "type": "Number", "value": 0},),
    (SCORE_COLUMN, KINDS_COLUMN),
)


def write_findings(client: LabelStudioClient, project_id: int, findings: Sequence[ReviewFinding]) -> int:
    """Give tasks with findings their columns, take them from all others, and make the tab; tasks that were changed.

    Everything else in the task data stays as it is. Raises LabelStudioError: what was written stays, and the next
    review writes the rest.
    """
    wanted, changed = columns_of(findings), 0
    for row in client.tasks(project_id, PAGE_SIZE, with_results=False):
        data = row["data"]
        others = {key: value for key, value in data.items() if key not in (SCORE_COLUMN, KINDS_COLUMN)}
        columns = others | wanted.get(row["id"], {})
        if columns != data:
            client.update_task(row["id"], columns)
            changed += 1
    put_tab(client, project_id, CHECK_TAB)
    return changed


def columns_of(findings: Iterable[ReviewFinding]) -> Mapping[int, dict[str, Any]]:
    """Task -> its columns."""
    by_task: dict[int, list[ReviewFinding]] = {}
    for finding in sorted(findings, key=lambda one: -one.confidence):
        if finding.image_ref.task is not None:
            by_task.setdefault(finding.image_ref.task, []).append(finding)
    return {
        task: {
            SCORE_COLUMN: some[0].confidence,
            KINDS_COLUMN: "; ".join(dict.fromkeys(f"{one.title}: {one.correction}" for one in some)),
        }
        for task, some in by_task.items()
    }
