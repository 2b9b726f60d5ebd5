"""A project's labelling config read for each of its tasks: whose regions show objects, whose choices are learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prelabel.labelstudio.config.choice_controls import ChoiceControls
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.config.repeaters import expand, names_on_several_pages

KNOWN_CONFIGS = 64
"""Configs whose reading is remembered: one per number of pages."""


@dataclass(frozen=True)
class TaskControls:
    """What a config says of one task. `problems`: a sentence for each list of pages that is missing or too long."""

    objects: ObjectControls
    choices: ChoiceControls
    problems: tuple[str, ...] = ()

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys of the task data that hold the images, in the order of the config, each once."""
        return tuple(dict.fromkeys([*self.objects.image_keys, *self.choices.image_keys]))


class ProjectConfig:
    """A labelling config. `with_choices`: False where only objects are wanted. Reading raises LabelConfigError."""

    def __init__(self, label_config: str, *, with_choices: bool = True) -> None:
        self._label_config = label_config
        self._with_choices = with_choices
        self._read = lru_cache(maxsize=KNOWN_CONFIGS)(self._read_xml)

    def for_any_task(self) -> TaskControls:
        """The controls whatever the task: the pages of a Repeater are one."""
        return self._read(self._label_config)

    def of(self, data: Mapping[str, Any]) -> TaskControls:
        """The controls for a task with this data, those of every page."""
        expanded = expand(self._label_config, data)
        read = self._read(expanded.xml)
        return TaskControls(read.objects, read.choices, (*expanded.problems, *read.problems))

    def labels_of(self, controls: Iterable[TaskControls]) -> tuple[str, ...]:
        """Every label that an object of these tasks can have, in the order of the config, each once."""
        everywhere = self.for_any_task().objects.labels
        found = dict.fromkeys(label for one in controls for label in one.objects.labels)
        return everywhere if set(found) <= set(everywhere) else tuple(found)

    def _read_xml(self, xml: str) -> TaskControls:
        if names := names_on_several_pages(xml):
            problem = f"{names[0]!r}: several pages have a tag of this name, so whose regions are whose cannot be told"
            return TaskControls(ObjectControls(()), ChoiceControls(), (problem,))
        choices = ChoiceControls.from_config(xml) if self._with_choices else ChoiceControls()
        return TaskControls(ObjectControls.from_config(xml), choices)
