"""Regions that no learnt control of an image accounts for: which of them show an object all the same.

An image is not learnt as one without the objects that such regions show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.shapes import LABELS, SHAPES

ResultItem = Mapping[str, Any]
"""An item of an annotation's `result`, as Label Studio calls it: a shape, a label, or something said."""

SAID_OF_REGIONS = frozenset(
    {"choices", "taxonomy", "textarea", "number", "rating", "datetime", "pairwise", "ranker", "relation"}
)
"""Types of results that say something of a region or an image and show none, though they repeat where the region is."""

GEOMETRY = frozenset({*(shape.key for shape in SHAPES), "x", "vertices"})
"""Keys of a value, one of which every result that shows a region on an image has; the last two are those of key points
and lines, which are no objects."""


def is_drawn(region: ResultItem) -> bool:
    """Whether a result of an annotation shows a region."""
    value = region.get("value")
    if str(region.get("type")) in SAID_OF_REGIONS or not isinstance(value, Mapping):
        return False
    return any(key in value for key in GEOMETRY)


def labels_in(region: ResultItem, key: str) -> list[str]:
    """The labels that a region's value holds under a key; none where there are none."""
    value = region.get("value")
    labels = value.get(key) if isinstance(value, Mapping) else None
    return [str(label) for label in labels] if isinstance(labels, list) else []


def id_of(region: ResultItem) -> str:
    """The id of a region, of the result of its shape and of that of its label; empty where it has none."""
    return str(region.get("id") or "")


def labels_by_id(result: Sequence[ResultItem], controls: ObjectControls) -> dict[str, list[str]]:
    """Id of a region -> its labels from a Labels tag, whose result has the same id."""
    labels: dict[str, list[str]] = {}
    for one in _of_labels_tags(result):
        if str(one.get("from_name")) not in controls.ignored:
            labels.setdefault(id_of(one), labels_in(one, LABELS))
    return labels


def ignored_ids(result: Sequence[ResultItem], controls: ObjectControls) -> set[str]:
    """Ids of regions whose label is from a Labels tag that the config leaves aside, and from no other."""
    ignored = {id_of(one) for one in _of_labels_tags(result) if str(one.get("from_name")) in controls.ignored}
    return ignored - labels_by_id(result, controls).keys()


def skipped_objects(result: Sequence[ResultItem], controls: ObjectControls, image_key: str) -> dict[int, str]:
    """{index of a region in the result: why its image is not one of nothing}, for regions of tags that the config
    leaves aside (`ObjectControls.ignored`) with a label that is learnt.
    """
    return {
        index: "is of a tag with model_skip, and no other region shows what it shows"
        for index, region in enumerate(result)
        if str(region.get("from_name")) in controls.ignored
        and is_drawn(region)
        and controls.objects.get(str(region.get("to_name")), image_key) == image_key
        and any(label in controls.label_names for label in labels_in(region, str(region.get("type"))))
    }


def _of_labels_tags(result: Sequence[ResultItem]) -> Iterator[ResultItem]:
    return (one for one in result if one.get("type") == LABELS and id_of(one))


def other_regions(
    result: Sequence[ResultItem], controls: ObjectControls, image_key: str
) -> tuple[dict[int, str], int]:
    """({index of a region in the result: why it cannot be learnt}, how many others show no objects).

    A region counts where its tag is none of the config's any more, where it has no label, or one that is learnt. Not
    what is drawn on other images, nor what the config leaves aside (`ObjectControls.ignored`).
    """
    read = {(control.from_name, control.to_name) for control in controls.on(image_key) if control.shape}
    shown = {id_of(one) for one in result if is_drawn(one) and one.get("type") != LABELS}
    labels = labels_by_id(result, controls)
    reasons: dict[int, str] = {}
    no_objects = 0
    for index, region in enumerate(result):
        name, to_name, kind = (str(region.get(key)) for key in ("from_name", "to_name", "type"))
        if not is_drawn(region) or (name, to_name) in read or name in controls.ignored:
            continue
        if controls.objects.get(to_name, image_key) != image_key:
            continue
        if kind == LABELS and id_of(region) in shown:
            continue
        own = labels_in(region, kind) or labels.get(id_of(region), [])
        if name not in controls.names:
            reasons[index] = "belongs to a tag that the labelling config does not have"
        elif not own or own[0] in controls.label_names:
            reasons[index] = (
                f"is of the type {kind!r}, which cannot be learnt: model_skip on its tag leaves it aside"
            )
        else:
            no_objects += 1
    return reasons, no_objects
