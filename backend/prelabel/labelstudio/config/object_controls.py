"""What a project's labelling config says of labelled objects: the labels to learn, and whose regions show objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from prelabel.labelstudio.config.label_map import ProjectLabel, map_labels
from prelabel.labelstudio.config.tags import Tag, image_key_of, parse_config, read_flag
from prelabel.labelstudio.shapes import LABELS, POINT_TOOL, SHAPE_OF_TAG, Shape


@dataclass(frozen=True)
class ObjectControl:
    """A control tag on one image tag.

    `shape`: what it draws, None for a Labels tag, which labels the shapes of others. `image_key`: key of the task data
    that holds the image. `labels`: its own.
    """

    from_name: str
    to_name: str
    shape: Shape | None
    image_key: str
    labels: tuple[ProjectLabel, ...]


@dataclass(frozen=True)
class ObjectControls:
    """The controls whose regions are objects; none without a control that draws.

    `objects`: name of every object tag -> key of the task data that holds its image, empty where it is no image that is
    learnt. `names`: of every control. `ignored`: of the controls whose regions are no objects, because the config says
    so (model_skip) or because they are smart tools.
    """

    controls: tuple[ObjectControl, ...]
    objects: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    @classmethod
    def from_config(cls, xml: str) -> ObjectControls:
        """Read a labelling config. Controls with model_skip, and those not on an image, are left out.

        Raises LabelConfigError, one sentence.
        """
        interface = parse_config(xml)
        tags = list(interface.controls or ())
        ignored = frozenset(tag.name for tag in tags if _is_ignored(tag, tags))
        controls = tuple(control for tag in tags if tag.name not in ignored for control in _controls(tag))
        objects = {tag.name: image_key_of(tag)[0] for tag in interface.objects or ()}
        drawing = controls if any(control.shape for control in controls) else ()
        return cls(drawing, objects, frozenset(tag.name for tag in tags), ignored)

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

    def only_label(self, control: ObjectControl) -> str | None:
        """The one label that the regions of a control can have; None where they can have several, or none at all."""
        on_image = (one for one in self.controls if one.to_name == control.to_name and one.shape is None)
        labels = control.labels or [label for one in on_image for label in one.labels]
        names = {label.name for label in labels}
        return names.pop() if len(names) == 1 else None


def label_tags(tag: Tag, to_name: str, tags: Sequence[Tag]) -> list[Tag]:
    """The tags of a config that give labels to the regions of `tag` on this image: the tag itself, or the Labels tags
    on the same image for a tag that draws without labels."""
    if tag.tag.lower().endswith(LABELS):
        return [tag]
    return [one for one in tags if one.tag.lower() == LABELS and to_name in one.to_name]


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


def _is_ignored(tag: Tag, tags: Sequence[Tag]) -> bool:
    """Whether the regions of a tag are left aside: on purpose, or with all that could label them."""
    if read_flag(tag, "model_skip"):
        return True
    if tag.tag.lower() in POINT_TOOL.types:  # a click is no object where it is a tool
        return read_flag(tag, "smart") or read_flag(tag, "smartOnly")
    labelling = [one for name in tag.to_name for one in label_tags(tag, name, tags)]
    return bool(labelling) and all(read_flag(one, "model_skip") for one in labelling)


def _controls(tag: Tag) -> list[ObjectControl]:
    """One per image that the tag is on; none for a tag whose regions are no objects."""
    kind = tag.tag.lower()
    shape = SHAPE_OF_TAG.get(kind)
    if shape is None and kind != LABELS:
        return []
    labels = tuple(ProjectLabel.from_attributes(name, label.attr) for name, label in tag.labels_attrs.items())
    keys = {name: image_key_of(tag.find_object_by_name(name))[0] for name in tag.to_name}
    return [ObjectControl(tag.name, name, shape, key, labels) for name, key in keys.items() if key]
