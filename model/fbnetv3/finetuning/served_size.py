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

from fbnetv3.data.examples import ChosenExamples, Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning.plan import Plan
from fbnetv3.finetuning.run import FineTuned
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.judging import SCORE_THRESHOLD, ImageFindings, Judgement, findings_of, judgement_of
from fbnetv3.weights import Checkpoint

logger = logging.getLogger(__name__)

LARGER, SMALLER = (1.25, 1.5), (0.8,)
"""In the order of trying: where one finds no more than the one before, the next is not tried."""

SCALES = (1.0, *LARGER, *SMALLER)

NAME = "served_scale"
SERVED = (NAME, "proposals")
"""What a plan says of weights that are trained already."""

CLEARLY_BETTER = 0.01
"""By how much the box AP at another size must exceed that at the size of training, and by what one object weighs."""

MOST_IMAGES = 40
"""More would take long and say little more."""

#: Weights, and the places of images that they have not learnt from.
Looker = tuple[Checkpoint, Sequence[int]]


def with_served_size(
    plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings
) -> Plan:
    """The plan with the scale at which these weights, trained by it, find most in their images (box AP).

    Unchanged where the settings give an input size. Raises what reading the images raises.
    """
    if settings.min_size is not None or settings.max_size is not None:
        return plan
    some = [(weights, places[: -(-MOST_IMAGES // len(lookers))]) for weights, places in lookers]
    judged = _tried(plan, some, images, settings)
    best = max(judged, key=lambda scale: judged[scale].box_AP)
    least = judged[1.0].box_AP + CLEARLY_BETTER + 1 / max(judged[1.0].objects, 1)
    if judged[best].box_AP < least:
        best = 1.0
    others = ", ".join(f"{one.box_AP:.3f} at {scale:g}" for scale, one in judged.items())
    reason = f"box AP in images left out: {others}"
    logger.info("%s = %g: %s", NAME, best, reason)
    reasons = plan.reasons | {NAME: reason}
    return replace(plan, served_scale=best, reasons=reasons)


def served_as_planned(weights: Checkpoint, plan: Plan) -> Checkpoint:
    """The weights with the input size that the plan serves them with."""
    return replace(weights, settings=weights.settings | plan.network_settings)


def tuned_as_planned(tuned: FineTuned, plan: Plan, folder: Path) -> FineTuned:
    """Likewise what a training run in this folder came to; its plan there says so too. Raises OSError."""
    why = {name: plan.reasons[name] for name in SERVED if name in plan.reasons}
    values = {name: getattr(plan, name) for name in SERVED}
    own = replace(tuned.plan, reasons=tuned.plan.reasons | why, **values)
    own.write(folder)
    return replace(tuned, plan=own, checkpoint=served_as_planned(tuned.checkpoint, own))


def _tried(
    plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings
) -> dict[float, Judgement]:
    judged = {1.0: _judged(plan, lookers, images, settings)}
    for scales in (LARGER, SMALLER):
        before = 1.0
        for scale in scales:
            judged[scale] = _judged(replace(plan, served_scale=scale), lookers, images, settings)
            if judged[scale].box_AP <= judged[before].box_AP:
                break
            before = scale
    return judged


def _judged(
    plan: Plan, lookers: Sequence[Looker], images: Examples, settings: FineTuningSettings
) -> Judgement:
    found: list[ImageFindings] = []
    for weights, places in lookers:
        served = served_as_planned(weights, plan)
        detector = Detector.load(served, engine="torch", device=settings.device, threads=settings.threads)
        found += findings_of(detector, ChosenExamples(images, places), boxes_only=True)
    return judgement_of(found, images.labels, SCORE_THRESHOLD)
