"""What people chose for whole images, read from accepted annotations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prelabel.labelstudio.choice_controls import ChoiceControl, ChoiceControls
from prelabel.labelstudio.choices import ImageChoices, to_choices
from prelabel.projects.accepted import AcceptedTask

Json = dict[str, Any]


class AcceptedChoices:
    """The answers of a project's accepted annotations.

    Label Studio stores nothing for a multiple choice of which nothing was chosen. That is "none of them", unless the
    control must be answered or may be hidden, or the annotation is older than the control's first answer: then nobody
    may have seen it.
    """

    def __init__(self, controls: ChoiceControls, tasks: Sequence[AcceptedTask]) -> None:
        self._controls = controls
        self._first_answers = {
            control: _first_answer(control, tasks) for control in controls.active if control.none_is_an_answer
        }

    @property
    def heads(self) -> list[Json]:
        """Each control with its choices, as a snapshot's `image_heads`."""
        by_name = {control.from_name: control for control in reversed(self._controls.active)}
        ordered = dict.fromkeys(control.from_name for control in self._controls.active)
        return [
            {"name": name, "classes": list(by_name[name].names), "multi_label": by_name[name].is_multiple}
            for name in ordered
        ]

    def of(self, task: AcceptedTask, image_key: str) -> ImageChoices:
        """What the task's annotation says of one of its images."""
        controls = self._controls.on(image_key)
        found = to_choices(task.result, controls)
        answered = {region.get("from_name") for region in task.result}
        for control in controls:
            if control.from_name not in answered and self._was_seen(control, task):
                found.choices[control.from_name] = []
        return found

    def _was_seen(self, control: ChoiceControl, task: AcceptedTask) -> bool:
        first = self._first_answers.get(control)
        return first is not None and task.changed_at >= first


def _first_answer(control: ChoiceControl, tasks: Sequence[AcceptedTask]) -> datetime | None:
    answered = (task.changed_at for task in tasks if to_choices(task.result, [control]).choices)
    return min(answered, default=None)
