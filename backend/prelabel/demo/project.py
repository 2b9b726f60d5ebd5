"""The demo's project in Label Studio: its labelling config and its images; found again at the next start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prelabel.labelstudio.api.client import LabelStudioClient

UPLOAD_FILES = 4
"""Per request: Label Studio takes 250 MB at most, and progress should be seen."""

MOST_PROJECTS = 1000
UNFINISHED = " (not yet imported)"


@dataclass(frozen=True)
class DemoProject:
    """What to show. `description` tells it from the demo's other projects."""

    title: str
    description: str
    label_config: str
    images: Sequence[Path]


def open_project(
    client: LabelStudioClient, project: DemoProject, on_progress: Callable[[int, int], None]
) -> int:
    """The id of the project, made with all its images where an earlier run has not done so.

    `on_progress`: images imported so far, and all of them. Raises LabelStudioError.
    """
    found = client.projects(MOST_PROJECTS)
    by_description = {row["description"]: int(row["id"]) for row in found}
    if project.description in by_description:
        return by_description[project.description]
    if unfinished := by_description.get(project.description + UNFINISHED):
        client.delete_project(unfinished)
    return _make_project(client, project, on_progress)


def _make_project(
    client: LabelStudioClient, project: DemoProject, on_progress: Callable[[int, int], None]
) -> int:
    made = client.create_project(
        project.title, project.label_config, description=project.description + UNFINISHED
    )
    project_id = int(made["id"])
    for start in range(0, len(project.images), UPLOAD_FILES):
        on_progress(start, len(project.images))
        client.import_files(project_id, project.images[start : start + UPLOAD_FILES])
    client.update_project(project_id, description=project.description)
    return project_id
