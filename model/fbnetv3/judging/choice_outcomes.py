"""What a person finds when an image opens with its suggested choices: right, wrong or missing ones, and the clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ChoiceOutcome:
    """One image and one choice, in counts: classes that hold (`chosen`), and suggestions `right` and `wrong`."""

    chosen: int
    right: int
    wrong: int


@dataclass(frozen=True)
class HeadJudgement:
    """One choice on the hold-out. `known`: whether there is a head for it; without one nothing is suggested.

    `outcomes`: one per image of the hold-out, in its order; None where the image is not labelled for this choice.
    The figures are of the labelled ones, 0 where there are none.
    """

    name: str
    multi_label: bool
    known: bool
    outcomes: tuple[ChoiceOutcome | None, ...]

    @property
    def labelled(self) -> list[ChoiceOutcome]:
        """The outcomes of labelled images."""
        return [one for one in self.outcomes if one is not None]

    @property
    def images(self) -> int:
        """How many are labelled for this choice."""
        return len(self.labelled)

    @property
    def accuracy(self) -> float:
        """0..1: the share of images that need no click."""
        return _mean([self.clicks(one) == 0 for one in self.labelled])

    @property
    def clicks_per_image(self) -> float:
        """With the suggestions."""
        return _mean([self.clicks(one) for one in self.labelled])

    @property
    def clicks_without(self) -> float:
        """Clicks per image where nothing is suggested."""
        return _mean([one.chosen for one in self.labelled])

    def clicks(self, one: ChoiceOutcome) -> int:
        """A single choice: 0 if the suggestion is right, else 1. A multiple one: 1 for every class to switch."""
        return one.chosen - one.right + (one.wrong if self.multi_label else 0)


@dataclass(frozen=True)
class HeadsJudgement:
    """All choices of a snapshot, judged on its hold-out, in the order of its heads."""

    heads: tuple[HeadJudgement, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; each choice's figures stand beside the outcomes that they come from."""
        return {"heads": [asdict(head) | _figures(head) for head in self.heads]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HeadsJudgement:
        """What `as_dict` gave."""
        return cls(tuple(map(_from_dict, data["heads"])))


def _figures(head: HeadJudgement) -> dict[str, Any]:
    names = ("images", "accuracy", "clicks_per_image", "clicks_without")
    return {name: getattr(head, name) for name in names} | {
        "outcomes": [None if one is None else asdict(one) for one in head.outcomes]
    }


def _from_dict(data: Mapping[str, Any]) -> HeadJudgement:
    outcomes = tuple(None if one is None else ChoiceOutcome(**one) for one in data["outcomes"])
    return HeadJudgement(data["name"], data["multi_label"], data["known"], outcomes)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
