"""Where the files of a project are."""

from __future__ import annotations

from pathlib import Path

from prelabel.settings import Settings


def project_folder(settings: Settings, project_id: int) -> Path:
    """Everything that is kept of a project but its versions: images, snapshots, runs."""
    return settings.prelabel_home / "projects" / str(project_id)
