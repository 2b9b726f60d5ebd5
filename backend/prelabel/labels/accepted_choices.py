"""What people chose for whole images, read from accepted annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from prelabel.labels.accepted import AcceptedTask
from prelabel.labelstudio.config.choice_controls import ChoiceControl, ChoiceControls
from prelabel.labelstudio.regions.choices import ImageChoices, to_choices

Json = dict[str, Any]


class AcceptedChoices:
    """The answers of a project's accepted annotations.

    Label Studio stores nothing for a multiple choice of which nothing was chosen. That is "none of them", unless the
    control must be answered or may be hidden, or the annotation is older than the control's first answer: then nobody
    may have seen it.
    """

    def __init__(
        self, controls: ChoiceControls, tasks: Iterable[tuple[AcceptedTask, ChoiceControls]]
    ) -> None:
        """`controls`: of the config whatever the task; `tasks`: each with its own."""
        self._controls = controls
        self._first_answers: dict[str, datetime] = {}
        for task, its_own in tasks:
            for control in its_own.active:
                if control.none_is_an_answer and to_choices(task.result, [control]).choices:
                    first = self._first_answers.get(control.question, task.changed_at)
                    self._first_answers[control.question] = min(first, task.changed_at)

    @property
    def heads(self) -> list[Json]:
        """Each question with its choices, as a snapshot's `image_heads`."""
        first: dict[str, ChoiceControl] = {}
        for control in self._controls.active:
            first.setdefault(control.question, control)
        return [
            {"name": name, "classes": list(control.names), "multi_label": control.is_multiple}
            for name, control in first.items()
        ]

    def of(self, task: AcceptedTask, controls: Sequence[ChoiceControl]) -> ImageChoices:
        """What the task's annotation says of the image that these controls are on."""
        found = to_choices(task.result, controls)
        answered = [region.get("from_name") for region in task.result]
        for control in controls:
            if control.from_name not in answered and self._was_seen(control, task):
                found.choices[control.question] = []
        return found

    def _was_seen(self, control: ChoiceControl, task: AcceptedTask) -> bool:
        first = self._first_answers.get(control.question)
        return control.none_is_an_answer and first is not None and task.changed_at >= first
