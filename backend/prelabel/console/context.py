"""What every page of the console works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from prelabel.console.kept import Kept
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.worker.wake_up import WakeUpMessages

if TYPE_CHECKING:
    from collections.abc import Callable

    from prelabel.inference.predictor import Predictor
    from prelabel.labelstudio.api.client import LabelStudioClient

TITLES_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Context:
    """`predictor`: what answers for a project, or with None the base weights; it may raise ModelNotReady. `kept`: slow
    answers; `examinations`: slower ones, which must not hold these up. One per server process, shared by its threads.
    """

    settings: Settings
    database: Database
    predictor: Callable[[int | None], Predictor]
    kept: Kept = field(default_factory=lambda: Kept(2))
    examinations: Kept = field(default_factory=lambda: Kept(1))

    @property
    def client(self) -> LabelStudioClient:
        """Label Studio as the settings reach it. Raises LabelStudioError."""
        from prelabel.labelstudio.api.client import label_studio_client

        return label_studio_client(self.settings)

    @cached_property
    def messages(self) -> WakeUpMessages:
        """What wakes the worker. Raises WakeUpError."""
        return WakeUpMessages(self.settings)

    def title(self, project_id: int) -> str:
        """What people call the project, as soon as Label Studio has said it."""
        from prelabel.labelstudio.config.project import read_project

        known = self.kept.ask(
            ("title", project_id), lambda: read_project(self.client, project_id).title, TITLES_SECONDS
        )
        return known.value or f"Project {project_id}"

    def address(self, project_id: int, task_id: int | None = None) -> str:
        """The project, or one of its tasks, in Label Studio."""
        task = "" if task_id is None else f"?task={task_id}"
        url = self.settings.prelabel_label_studio_public_url or self.settings.label_studio_url
        return f"{url.rstrip('/')}/projects/{project_id}/data{task}"
