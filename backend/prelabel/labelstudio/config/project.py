"""A project as Label Studio describes it: read once when an operation begins, and handed down from there.

All steps of an operation then see one labelling config, parsed once. A step that has to see what changed since, because
it comes after a write or long after the beginning, reads the project again and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError

if TYPE_CHECKING:  # the worker counts labels without a second of Label Studio's SDK, which reads configs
    from prelabel.labelstudio.config.project_config import ProjectConfig


@dataclass(frozen=True, eq=False)
class Project:
    """One answer of Label Studio about the project `id`. A property raises LabelStudioError where `answer` lacks it."""

    id: int
    answer: Mapping[str, Any]

    @property
    def title(self) -> str | None:
        """What people call it."""
        title: str | None = self.answer["title"]
        return title

    @property
    def label_config(self) -> str:
        """The labelling config as XML."""
        return str(self.answer["label_config"])

    @cached_property
    def config(self) -> ProjectConfig:
        """The labelling config, read when it is asked for."""
        return self._parsed(with_choices=True)

    @cached_property
    def objects_config(self) -> ProjectConfig:
        """The labelling config without its choices."""
        return self._parsed(with_choices=False)

    @property
    def shown_version(self) -> str:
        """The version whose predictions and scores the project shows; empty for none."""
        return self.answer["model_version"] or ""

    @property
    def sampling(self) -> str | None:
        """The order of its label stream, in Label Studio's words."""
        sampling: str | None = self.answer["sampling"]
        return sampling

    @property
    def shows_predictions(self) -> bool:
        """Whether annotators see predictions."""
        return bool(self.answer["show_collab_predictions"])

    @property
    def waits_for_predictions(self) -> bool:
        """Whether every page of the Data Manager asks the backend for predictions."""
        return bool(self.answer["evaluate_predictions_automatically"])

    @property
    def tasks(self) -> int:
        """How many tasks it has."""
        return self.answer["task_number"] or 0

    @property
    def labelled_tasks(self) -> int:
        """Tasks with accepted labels, see `labelled_tasks_of`. Raises LabelStudioError where it does not say."""
        labelled = labelled_tasks_of(self.answer)
        if labelled is None:
            raise LabelStudioError(
                f"Label Studio does not say how many tasks of project {self.id} have labels."
            )
        return labelled

    def _parsed(self, with_choices: bool) -> ProjectConfig:
        from prelabel.labelstudio.config.project_config import ProjectConfig

        return ProjectConfig(self.label_config, with_choices=with_choices)


def read_project(client: LabelStudioClient, project_id: int) -> Project:
    """The project now: one request. Raises LabelStudioError."""
    return Project(project_id, client.project(project_id))


def labelled_tasks_of(project: Any) -> int | None:
    """Tasks with accepted labels, from a project as an answer or an event describes it; None where it does not say.

    Label Studio leaves ground truth out of its count of tasks. A task with such an annotation beside another counts
    twice.
    """
    fields = project if isinstance(project, Mapping) else {}
    numbers = [fields.get(name) for name in ("num_tasks_with_annotations", "ground_truth_number")]
    return numbers[0] + (numbers[1] or 0) if isinstance(numbers[0], int) else None
