"""What a version's row keeps as JSON: how the version came to be, and how it was judged.

Both are read as older releases wrote them, and written so that older releases can read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

# Judging brings OpenCV and pycocotools, which most processes that open the store do without.
if TYPE_CHECKING:
    from fbnetv3.judging import Calibration, HeadsJudgement, Judgement

Figures = TypeVar("Figures")

CALIBRATION = "calibration"
THRESHOLDS = "thresholds"
CHOICES = "choices"
SERVING = "serving"


@dataclass(frozen=True)
class Provenance:
    """Where a version's weights come from.

    `start`: the version that fine-tuning began with; `steps_taken`, `train_seconds`: what it took. `weights`: the
    version whose weights these are, where nothing was fine-tuned. What does not apply, or was not kept, is None.
    """

    start: str | None = None
    steps_taken: int | None = None
    train_seconds: float | None = None
    weights: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what applies."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class StoredHeads:
    """The file of a version's heads. `classes`: control -> the answers that its head knows; `sha256`: of the file."""

    classes: Mapping[str, tuple[str, ...]]
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "heads": {name: list(classes) for name, classes in self.classes.items()},
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StoredHeads:
        """What `as_dict` gave."""
        return cls({name: tuple(classes) for name, classes in data["heads"].items()}, data["sha256"])


@dataclass(frozen=True)
class VersionPlan:
    """How a version came to be.

    `fine_tuning`: what fbnetv3.finetuning.plan.Plan chose, by the names that it had in the release that trained;
    empty where nothing was fine-tuned. `calibration`: None in versions from before there were calibrations.
    `thresholds`: label -> the score from which on its regions are shown; empty in versions from before they were kept.
    `choices`: None where the version answers none.
    """

    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = Provenance()
    calibration: Calibration | None = None
    choices: StoredHeads | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The steps of the fine-tuning that was planned; 0 where there was none."""
        steps = self.fine_tuning.get("steps")
        return steps if isinstance(steps, int) else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: one flat object, the choices of the fine-tuning first."""
        calibration = {CALIBRATION: self.calibration.as_dict()} if self.calibration else {}
        choices = {CHOICES: self.choices.as_dict()} if self.choices else {}
        thresholds = {THRESHOLDS: dict(self.thresholds)} if self.thresholds else {}
        return {**self.fine_tuning, **self.provenance.as_dict(), **calibration, **choices, **thresholds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VersionPlan:
        """What `as_dict` gave, of this release or another one."""
        from fbnetv3.judging.calibration import Calibration

        rest = dict(data)
        calibration, choices = rest.pop(CALIBRATION, None), rest.pop(CHOICES, None)
        thresholds = rest.pop(THRESHOLDS, None) or {}
        known = {one.name: rest.pop(one.name, None) for one in fields(Provenance)}
        return cls(
            rest,
            Provenance(**known),
            Calibration.from_dict(calibration) if calibration else None,
            StoredHeads.from_dict(choices) if choices else None,
            thresholds,
        )


@dataclass(frozen=True)
class VersionJudgement:
    """How a version did on the hold-out, and what served did there when the gate compared the two.

    `objects`, `choices`: of the version itself; None where it learnt none, or was not judged by them. `serving`,
    `serving_choices`: None where nothing served that knew any.
    """

    objects: Judgement | None = None
    serving: Judgement | None = None
    choices: HeadsJudgement | None = None
    serving_choices: HeadsJudgement | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the figures of the objects, with those of what served and those of the choices beside them."""
        objects = _beside_serving(self.objects, self.serving)
        choices = _beside_serving(self.choices, self.serving_choices)
        return objects | ({CHOICES: choices} if choices else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VersionJudgement:
        """What `as_dict` gave, of this release or another one."""
        from fbnetv3.judging import HeadsJudgement, Judgement

        objects = {name: value for name, value in data.items() if name not in (SERVING, CHOICES)}
        serving, choices = data.get(SERVING), data.get(CHOICES)
        serving_choices = choices.get(SERVING) if isinstance(choices, Mapping) else None
        return cls(
            _read(Judgement.from_dict, objects),
            _read(Judgement.from_dict, serving),
            _read(HeadsJudgement.from_dict, choices),
            _read(HeadsJudgement.from_dict, serving_choices),
        )


def _read(
    from_dict: Callable[[Mapping[str, Any]], Figures], data: Mapping[str, Any] | None
) -> Figures | None:
    """The figures; None where there are none, or some that nobody can read: a version serves without its figures."""
    try:
        return from_dict(data) if data else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _beside_serving(
    own: Judgement | HeadsJudgement | None, serving: Judgement | HeadsJudgement | None
) -> dict[str, Any]:
    return {} if own is None else {**own.as_dict(), SERVING: None if serving is None else serving.as_dict()}
