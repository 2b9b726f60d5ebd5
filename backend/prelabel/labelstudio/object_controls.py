"""What a project's labelling config says of labelled objects: the labels to learn, and whose regions show objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from prelabel.labelstudio.config_tags import image_key_of, parse_config, read_flag
from prelabel.labelstudio.label_map import ProjectLabel, map_labels

Shape = Literal["rectangle", "polygon", "brush"]

SHAPES: dict[str, Shape] = {"rectangle": "rectangle", "polygon": "polygon", "brush": "brush"}
"""Tags that draw a shape and leave its label to a Labels tag, in lower case."""

LABELLED_SHAPES: dict[str, Shape] = {f"{tag}labels": shape for tag, shape in SHAPES.items()}
"""Tags that draw a shape with its label."""

LABELS = "labels"


@dataclass(frozen=True)
class ObjectControl:
    """A control tag on one image tag.

    `type`: that of its regions, also the key of the labels in their value. `shape`: what it draws, None for a Labels
    tag, which labels the shapes of others. `image_key`: key of the task data that holds the image.
    """

    from_name: str
    to_name: str
    type: str
    shape: Shape | None
    image_key: str
    labels: tuple[ProjectLabel, ...]


@dataclass(frozen=True)
class ObjectControls:
    """The controls whose regions are objects; none without a control that draws."""

    controls: tuple[ObjectControl, ...]

    @classmethod
    def from_config(cls, xml: str) -> ObjectControls:
        """Read a labelling config. Controls with model_skip, and those not on an image, are left out.

        Raises LabelConfigError, one sentence.
        """
        tags = [tag for tag in parse_config(xml).controls or () if not read_flag(tag, "model_skip")]
        controls = tuple(control for tag in tags for control in _controls(tag))
        return cls(controls if any(control.shape for control in controls) else ())

    @cached_property
    def label_names(self) -> dict[str, str]:
        """What a region may call its label, which is also what an alias stands for -> the label."""
        labels = [label for control in self.controls for label in control.labels]
        other = {name: label.name for label in reversed(labels) for name in label.names}
        return {**other, **{label.name: label.name for label in labels}}

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that an object can have, in the order of the config, each once."""
        return tuple(dict.fromkeys(label.name for control in self.controls for label in control.labels))

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys of the task data that hold the images, in the order of the config, each once."""
        return tuple(dict.fromkeys(control.image_key for control in self.controls if control.shape))

    def on(self, key: str) -> tuple[ObjectControl, ...]:
        """The controls on this image."""
        return tuple(control for control in self.controls if control.image_key == key)


def sources(label_config: str, model_labels: Sequence[str]) -> dict[str, list[str]]:
    """The labels of a model that each label of the project is the name for, which may be none.

    The same rules as for predictions (`label_map`), the other way round. Raises LabelConfigError.
    """
    controls = ObjectControls.from_config(label_config)
    found: dict[str, list[str]] = {label: [] for label in controls.labels}
    for control in controls.controls:
        label_map, _ = map_labels(control.labels, model_labels)
        for model_label, project_label in label_map.items():
            if model_label not in found[project_label]:
                found[project_label].append(model_label)
    return found


def _controls(tag: Any) -> list[ObjectControl]:
    """One per image that the tag is on; none for a tag whose regions are no objects."""
    kind = tag.tag.lower()
    shape = SHAPES.get(kind) or LABELLED_SHAPES.get(kind)
    if shape is None and kind != LABELS:
        return []
    labels = tuple(ProjectLabel.from_attributes(name, label.attr) for name, label in tag.labels_attrs.items())
    keys = {name: image_key_of(tag.find_object_by_name(name))[0] for name in tag.to_name}
    return [ObjectControl(tag.name, name, kind, shape, key, labels) for name, key in keys.items() if key]
