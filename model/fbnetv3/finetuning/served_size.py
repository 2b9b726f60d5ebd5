"""The input size that weights are served with: of some around that of their training, the one that finds most.

Features that were trained at one size often do better at another: small objects want a larger one, an object that fills
the image a smaller one. To find out takes a look at the images that were left out; to train at each size would take as
many training runs. docs/learning.md has figures.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fbnetv3.data.examples import ChosenExamples, Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning.plan import LARGEST_MIN_SIZE, Plan
from fbnetv3.finetuning.run import FineTuned
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.judging import SCORE_THRESHOLD, ImageFindings, findings_of, judgement_of
from fbnetv3.weights import Checkpoint

logger = logging.getLogger(__name__)

LARGER, SMALLER = (1.25, 1.5), (0.8,)
"""Scales in the order of trying: after one that finds no more than the one before, the next is not tried."""

LARGEST_SERVED = 1.5 * LARGEST_MIN_SIZE
"""No shorter side becomes larger: docs/performance.md has what that costs `/predict`."""

CLEARLY_MORE = 0.005
"""By how much the box AP at another size must exceed that at the size of training, besides what one object weighs."""

MOST_IMAGES = 40
"""More would take long and say little more."""

#: Weights, and the places of images that they have not learnt from.
Looker = tuple[Checkpoint, Sequence[int]]


def with_served_size(
    plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings
) -> Plan:
    """The plan with the input size at which these weights, trained by it, find most in their images: by box AP over the
    objects of all labels together.

    Unchanged where the settings give an input size. Raises what reading the images raises.
    """
    if settings.min_size is not None or settings.max_size is not None:
        return plan
    some = [(weights, _some(places, len(lookers))) for weights, places in lookers]
    tried = _tried(plan, some, images, settings)
    best = max(tried, key=lambda scale: tried[scale].box_AP)
    if tried[best].box_AP < tried[1.0].box_AP + CLEARLY_MORE + 1 / max(tried[1.0].objects, 1):
        best = 1.0
    shown = ", ".join(f"{one.box_AP:.3f} at {_size(plan, scale)}" for scale, one in tried.items())
    reason = f"box AP in images left out: {shown}"
    logger.info("served at %s: %s", _size(plan, best), reason)
    reasons = [plan.reasons["served"]] if "served" in plan.reasons else []
    return replace(at_scale(plan, best), reasons=plan.reasons | {"served": "; ".join([*reasons, reason])})


def at_scale(plan: Plan, scale: float) -> Plan:
    """The plan with weights that are served at `scale` times the input size of their training."""
    sizes = {"min_size": round(plan.min_size * scale), "max_size": round(plan.max_size * scale)}
    return replace(plan, served=plan.served | sizes)


def served_as_planned(tuned: FineTuned, plan: Plan, folder: Path) -> FineTuned:
    """What a training run in this folder came to, served as this plan says; the plan in the folder says so too.

    Raises OSError.
    """
    why = {name: reason for name, reason in plan.reasons.items() if name == "served"}
    own = replace(tuned.plan, served=plan.served, reasons=tuned.plan.reasons | why)
    own.write(folder)
    return replace(tuned, plan=own, checkpoint=own.on_trained(tuned.checkpoint))


def _size(plan: Plan, scale: float) -> str:
    served = at_scale(plan, scale).served
    return f"{served['min_size']}/{served['max_size']}"


def _some(places: Sequence[int], lookers: int) -> Sequence[int]:
    """So many of them, from first to last, that all lookers together look at no more than MOST_IMAGES."""
    share = max(MOST_IMAGES // lookers, 1)
    return places[:: -(-len(places) // share) or 1]


class _Tried(NamedTuple):
    """`objects`: that are labelled in the images. `box_AP`: 0..1, of all labels together."""

    objects: int
    box_AP: float


def _tried(
    plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings
) -> dict[float, _Tried]:
    """By scale, in the order of trying."""
    tried = {1.0: _try(at_scale(plan, 1.0), lookers, images, settings)}
    for scales in (LARGER, SMALLER):
        before = 1.0
        for scale in scales:
            if scale > 1 and plan.min_size * scale > LARGEST_SERVED:
                break
            tried[scale] = _try(at_scale(plan, scale), lookers, images, settings)
            if tried[scale].box_AP <= tried[before].box_AP:
                break
            before = scale
    return tried


def _try(plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings) -> _Tried:
    seen: list[ImageFindings] = []
    for weights, places in lookers:
        detector = Detector.load(
            plan.on_trained(weights), engine="torch", device=settings.device, threads=settings.threads
        )
        seen += findings_of(detector, ChosenExamples(images, places), boxes_only=True)
    together = [_as_one_label(one) for one in seen]
    judged = judgement_of(together, ("any label",), SCORE_THRESHOLD)
    return _Tried(sum(len(one.objects) for one in seen), judged.box_AP)


def _as_one_label(found: ImageFindings) -> ImageFindings:
    """The labels in one, each beside the others: AP by label would let the one object of a rare label decide."""
    beside = 2 * found.size[1]

    def moved(record: dict[str, Any]) -> dict[str, Any]:
        x, *others = record["bbox"]
        return record | {"bbox": [x + beside * record["category_id"], *others], "category_id": 0}

    return replace(
        found,
        objects=tuple(map(moved, found.objects)),
        results=tuple(map(moved, found.results)),
        of_label={},
    )
