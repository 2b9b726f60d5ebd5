"""What a simulation finds: figures per round and seed, and their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import groupby
from statistics import fmean
from typing import Any, Self

from fbnetv3.judging import IDENTITY, Calibration, ImageOutcome, Judgement
from fbnetv3.simulation.replay_data import ImageId


@dataclass(frozen=True)
class Figures:
    """What serves, judged on the images for the figures; see Judgement."""

    box_AP50: float
    box_AP: float
    mask_AP50: float | None
    mask_AP: float | None
    no_edit_share: float
    false_positives_per_image: float

    @classmethod
    def of(cls, judgement: Judgement) -> Self:
        """A judgement's figures without its outcomes."""
        return cls(**{field.name: getattr(judgement, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class StartResult(Figures):
    """The start weights, before anything is labelled. `known_labels`: labels of the data that they know."""

    known_labels: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"labels": 0, "objects": 0, **asdict(self)}


@dataclass(frozen=True)
class RoundResult(Figures):
    """One round of one seed; the figures are those of what serves when the round is over.

    `labels`: images labelled so far; `objects`: in them; `judged`: of the images, by which the candidate was judged.
    `train_seconds`: of this round. `person_seconds`, `person_seconds_without`: estimated, since the first label.
    `is_trained`: whether a training run was due; `promoted`, `reason`: what the gate said. `image_ids`: labelled in
    this round. `calibration`, `thresholds`: of what serves when the round is over; start weights have no thresholds.
    `remembered`: of a version, what was found in the images that it learnt from by weights that had not.
    """

    seed: int
    labels: int
    objects: int
    judged: int
    train_seconds: float
    person_seconds: float
    person_seconds_without: float
    is_trained: bool
    promoted: bool
    reason: str
    image_ids: tuple[ImageId, ...]
    calibration: Calibration = IDENTITY
    thresholds: Mapping[str, float] | None = None
    remembered: Mapping[str, ImageOutcome] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RoundResult:
        """What `as_dict` gave."""
        calibration = Calibration.from_dict(data.get("calibration", {}))
        remembered = {key: ImageOutcome(**one) for key, one in data["remembered"].items()}
        return cls(
            **data
            | {"image_ids": tuple(data["image_ids"]), "calibration": calibration, "remembered": remembered}
        )


#: What the mean over the seeds is taken of.
MEANS = (
    "objects",
    *(field.name for field in fields(Figures)),
    "train_seconds",
    "person_seconds",
    "person_seconds_without",
)


UNREPORTED = ("image_ids", "remembered")
"""What only the next round asks for."""


def report(start: StartResult, results: Sequence[RoundResult]) -> dict[str, Any]:
    """{"start": ..., "rounds": [means over the seeds, and `seeds`: the single ones]}."""
    ordered = sorted(results, key=lambda result: (result.labels, result.seed))
    rounds = [_round(list(group)) for _, group in groupby(ordered, key=lambda result: result.labels)]
    return {"start": start.as_dict(), "rounds": rounds}


def _round(results: list[RoundResult]) -> dict[str, Any]:
    means = {name: _mean([getattr(result, name) for result in results]) for name in MEANS}
    seeds = [{k: v for k, v in result.as_dict().items() if k not in UNREPORTED} for result in results]
    return {"labels": results[0].labels, **means, "seeds": seeds}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None
