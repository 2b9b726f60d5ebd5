"""Which label of the project each label of the model becomes.

For one label of the model, the first of these that holds decides:

1. a label of the project has exactly its name;
2. a label of the project has its name but for upper and lower case, and spaces around it;
3. a label of the project claims it in `predicted_values`.

So a model label becomes at most one project label, and several model labels may become the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fbnetv3.data.label_names import folded


@dataclass(frozen=True)
class ProjectLabel:
    """A Label tag. `name` is what regions carry (its alias, if it has one); `names` are all that it goes by;
    `claims` are the model labels in its predicted_values."""

    name: str
    names: tuple[str, ...]
    claims: tuple[str, ...]

    @classmethod
    def from_attributes(cls, name: str, attributes: Mapping[str, str]) -> ProjectLabel:
        """From the attributes of a Label tag whose regions carry `name`."""
        names = dict.fromkeys([name, attributes.get("value") or name])
        claims = (claim.strip() for claim in attributes.get("predicted_values", "").split(","))
        return cls(name, tuple(names), tuple(claim for claim in claims if claim))


def map_labels(
    labels: Sequence[ProjectLabel], model_labels: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """({model label: project label}, remarks on claims that came to nothing)."""
    exact = _index((name, label) for label in labels for name in label.names)
    claimed = _index((claim, label) for label in labels for claim in label.claims)
    alike = _index((folded(name), label) for label in labels for name in label.names)
    label_map = {}
    for model_label in model_labels:
        match = exact.get(model_label) or alike.get(folded(model_label)) or claimed.get(model_label)
        if match:
            label_map[model_label] = match.name
    return label_map, _remarks(labels, label_map, model_labels)


def _index(pairs: Iterable[tuple[str, ProjectLabel]]) -> dict[str, ProjectLabel]:
    """A dictionary of the pairs in which the first one of a key stays."""
    index: dict[str, ProjectLabel] = {}
    for key, label in pairs:
        index.setdefault(key, label)
    return index


def _remarks(
    labels: Sequence[ProjectLabel], label_map: Mapping[str, str], model_labels: Sequence[str]
) -> list[str]:
    remarks = []
    for label in labels:
        for claim in label.claims:
            if claim not in model_labels:
                remarks.append(f"{label.name} claims {claim!r}, which the model does not know")
            elif label_map[claim] != label.name:
                remarks.append(f"{label.name} claims {claim!r}, which is taken by {label_map[claim]}")
    return remarks
