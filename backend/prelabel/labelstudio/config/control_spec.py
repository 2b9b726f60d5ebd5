"""What one control tag on one image asks of a detector: which shape, with which labels, from which score on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from prelabel.labelstudio.config.label_map import ProjectLabel, map_labels
from prelabel.labelstudio.config.tags import Tag, read_flag, read_threshold
from prelabel.labelstudio.shapes import SHAPE_OF_TAG, Shape


@dataclass(frozen=True)
class Thresholds:
    """For controls without a threshold of their own: `of_label` of the model, `default` for its other labels."""

    default: float
    of_label: Mapping[str, float]


@dataclass(frozen=True)
class ControlSpec:
    """One control tag on one image tag.

    `shape`: what it draws. `labels_from`: the tag that its regions have their label from, itself or a Labels tag.
    `image_key`: key of the task data that holds the image. `labels`: all of the project that its regions can have.
    `label_map`: label of the model -> of the project. `score_threshold`: the lowest score, 0..1, that becomes a region;
    `label_thresholds`: that of the labels of the model with another one, above 1 for those that are not shown.
    `skip`: the config says to leave it out. `unmatched`: labels of the project that no label of the model becomes.
    """

    from_name: str
    to_name: str
    shape: Shape
    labels_from: str
    image_key: str
    labels: tuple[ProjectLabel, ...]
    label_map: Mapping[str, str]
    score_threshold: float
    skip: bool
    unmatched: tuple[str, ...]
    label_thresholds: Mapping[str, float] = field(default_factory=dict)

    def threshold_of(self, label: str) -> float:
        """The lowest score with which an instance of this label of the model becomes a region."""
        return self.label_thresholds.get(label, self.score_threshold)

    @property
    def lowest_threshold(self) -> float:
        """That of the label that needs the lowest score."""
        return min(map(self.threshold_of, self.label_map), default=self.score_threshold)

    @property
    def is_pair(self) -> bool:
        """Whether a Labels tag says what its regions show."""
        return self.labels_from != self.from_name

    @property
    def region_type(self) -> str:
        """The type of its regions."""
        return self.shape.bare_type if self.is_pair else self.shape.labelled_type

    @property
    def needs_masks(self) -> bool:
        """Whether its regions are made from masks alone."""
        return self.shape.masks == "needed"

    @property
    def uses_masks(self) -> bool:
        """Whether its regions are made from masks where there are some."""
        return self.shape.masks != "unused"

    @property
    def name(self) -> str:
        """Its tag and name, as they stand in the config."""
        if self.is_pair:
            return f"Labels {self.labels_from!r} + {self.shape.tag} {self.from_name!r}"
        return f"{self.region_type} {self.from_name!r}"

    def describe(self, has_masks: bool) -> str:
        """One line for the log."""
        head = f"{self.name} on {self.to_name!r}"
        if self.skip:
            return f"{head}: skipped (model_skip)"
        if self.needs_masks and not has_masks:
            return f"{head}: nothing, because these weights have boxes and no masks"
        pairs = ", ".join(map(self._describe_label, self.label_map)) or "none"
        line = f"{head}: score >= {self.score_threshold:g}; labels: {pairs}"
        return f"{line}; without a match: {', '.join(self.unmatched)}" if self.unmatched else line

    def _describe_label(self, label: str) -> str:
        pair, threshold = f"{label} -> {self.label_map[label]}", self.threshold_of(label)
        if threshold == self.score_threshold:
            return pair
        return f"{pair} (score >= {threshold:g})" if threshold <= 1 else f"{pair} (not shown)"


def predicted_shape(tag: Tag) -> Shape | None:
    """The shape that a control tag is pre-labelled with; None for a tag that is not."""
    kind = tag.tag.lower()
    shape = SHAPE_OF_TAG.get(kind)
    return shape if shape and kind in shape.own_types else None


def control_specs(
    tag: Tag,
    labelling: Sequence[Tag],
    to_name: str,
    image_key: str,
    model_labels: Sequence[str],
    thresholds: Thresholds,
    notes: list[str],
) -> list[ControlSpec]:
    """The specs of a control tag on one image, one for each tag that gives it labels; remarks are added to `notes`.

    A label of the model that several of these take goes to the first: an object is drawn once.
    """
    controls: list[ControlSpec] = []
    taken: set[str] = set()
    for label_tag in labelling:
        control = _control(tag, label_tag, to_name, image_key, model_labels, thresholds, notes)
        label_map = {model: label for model, label in control.label_map.items() if model not in taken}
        controls.append(replace(control, label_map=MappingProxyType(label_map)))
        taken |= set() if control.skip else set(label_map)
    return controls


def _control(
    tag: Tag,
    label_tag: Tag,
    to_name: str,
    image_key: str,
    model_labels: Sequence[str],
    thresholds: Thresholds,
    notes: list[str],
) -> ControlSpec:
    """The spec of a control tag on one image, with the labels of `label_tag`; remarks on it are added to `notes`."""
    labels = [
        ProjectLabel.from_attributes(name, label.attr) for name, label in label_tag.labels_attrs.items()
    ]
    label_map, remarks = map_labels(labels, model_labels)
    if not labels and not label_tag.dynamic_value:
        remarks = ["has no labels in the config: add Label tags to it"]
    notes.extend(f"{label_tag.tag} {label_tag.name!r}: {remark}" for remark in remarks)
    shape = SHAPE_OF_TAG[tag.tag.lower()]
    chosen = read_threshold(tag, read_threshold(label_tag, None))
    return ControlSpec(
        from_name=tag.name,
        to_name=to_name,
        shape=shape,
        labels_from=label_tag.name,
        image_key=image_key,
        labels=tuple(labels),
        label_map=MappingProxyType(label_map),
        score_threshold=thresholds.default if chosen is None else chosen,
        skip=read_flag(tag, "model_skip") or read_flag(label_tag, "model_skip"),
        unmatched=tuple(label.name for label in labels if label.name not in label_map.values()),
        label_thresholds=MappingProxyType(dict(thresholds.of_label) if chosen is None else {}),
    )
