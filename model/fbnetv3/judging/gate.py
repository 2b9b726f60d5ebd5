"""The gate: whether a candidate takes the serving version's place.

What counts is the seconds that a person saves (effort.py): they weigh regions that can stay, regions to correct,
objects to draw and regions to delete in one figure per image, each side at its own operating point. A candidate is
promoted when it saves time in total, on images that neither side has learnt from, and keeps 60 % of the AP50. Where
the two differ by less than 2 % of what drawing everything takes, a higher AP50 is enough; by less than 5 %, where AP50
of boxes and masks is higher by a fifth: time hangs on a few regions at the operating point, AP50 on all of them.

It need not save time beyond doubt, because the two errors do not cost the same: a candidate that is a little worse is
replaced a round later, while one that is better and is turned away costs the people a round of its help. And before
anything is measured, the one that learnt from more labels is the better one, all the more as it is judged by weights
that learnt from less (each fold's lack a third of the images, of many a fifth). docs/gate.md has how often that errs.

Where nothing serves yet, the comparison is with drawing everything, and either more regions must be right than wrong,
at the operating point and from a score of 0.3 on, or AP50 of boxes be 0.6: then the right ones score above the wrong
ones. Else people would mostly delete, which time alone would allow: an outline costs as much as many deletions.
Without any image to judge by only a first version is promoted. A candidate that is equal in both is rejected, and one
that finds no labelled object: silence is fewer deletions, and nobody wants it; where what serves is silent, too, AP50
decides. So is one that costs more than drawing everything, whatever serves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.judgement import SCORE_THRESHOLD, Judgement

#: What must be left of what serves' AP50, where at least so many images tell of both.
LEAST_AP50, AP50_IMAGES = 0.6, 3
#: Of the seconds that drawing takes: a loss that a higher AP50 makes up for, and one that takes AP50 of boxes and masks
#: so many times as high.
SLIGHT, MODERATE, CLEARLY = 0.02, 0.05, 1.2
#: A first version with this AP50 may show more wrong regions than right ones. Labels that were shuffled give less: what
#: looks alike gets all of them with the same score.
FIRST_AP50 = 0.6


@dataclass(frozen=True)
class GateDecision:
    """Whether the candidate is promoted, and why, in one or two sentences with the figures."""

    promoted: bool
    reason: str


def decide(
    candidate: Judgement, serving: Judgement | None, effort: Effort, ap_images: int | None = None
) -> GateDecision:
    """Both judged on the same images in the same order; `serving` is None where nothing serves that knows a label.

    `ap_images`: how many of them the AP of both is of; None: all.

    Raises ValueError when the two were judged on different numbers of images.
    """
    if not candidate.images:
        return _without_images(serving)
    gains = _gains(candidate, serving, effort)
    figures = (
        f"{gains.mean():+.1f} s saved per image on {_images(candidate.images)}, {_levels(candidate, serving)}"
    )
    if serving is not None and _is_silent(candidate) and _is_silent(serving):
        return _by_ap50(candidate, serving, figures)
    tells = serving is not None and (candidate.images if ap_images is None else ap_images) >= AP50_IMAGES
    objection = _objection(candidate, serving, gains, effort, serving if tells else None)
    if objection:
        return GateDecision(False, f"{objection}: {figures}.")
    how = "Better" if gains.sum() > 0 else "Hardly slower, and its regions are better"
    return GateDecision(True, f"{how}: {figures}.")


def _without_images(serving: Judgement | None) -> GateDecision:
    if serving is None:
        return GateDecision(
            True, "Promoted unjudged: there is no image to judge by yet, and nothing else serves."
        )
    return GateDecision(False, "Not judged: there is no image to judge by yet, so the serving version stays.")


def _is_silent(judgement: Judgement) -> bool:
    return not any(one.found for one in judgement.outcomes)


def _by_ap50(candidate: Judgement, serving: Judgement, figures: str) -> GateDecision:
    """Neither shows a person anything of use yet; AP50 also counts what scores too low to be shown."""
    if candidate.box_AP50 > serving.box_AP50:
        return GateDecision(
            True, f"Neither finds an object surely enough to show it, but AP50 rises: {figures}."
        )
    return GateDecision(False, f"It finds none of the {candidate.objects} labelled objects: {figures}.")


def _gains(candidate: Judgement, serving: Judgement | None, effort: Effort) -> Array:
    """(n,) seconds that the candidate saves on each image, against the serving version or against no pre-labels."""
    compared = candidate.outcomes if serving is None else serving.outcomes
    cost = seconds_without if serving is None else seconds_with
    return np.array(
        [
            cost([before], effort) - seconds_with([after], effort)
            for after, before in zip(candidate.outcomes, compared, strict=True)
        ]
    )


def _objection(
    candidate: Judgement, serving: Judgement | None, gains: Array, effort: Effort, ranked: Judgement | None
) -> str | None:
    """What speaks against the candidate, if anything. `ranked`: what serves, where its AP50 can be compared."""
    loss = -gains.sum() / max(seconds_without(candidate.outcomes, effort), 1e-9)
    if loss >= 0 and (ranked is None or loss > _made_up_for(candidate, ranked)):
        return "Not better"
    if _is_silent(candidate):
        return f"It finds none of the {candidate.objects} labelled objects"
    if seconds_with(candidate.outcomes, effort) > seconds_without(candidate.outcomes, effort):
        return "Drawing from nothing takes less time"
    if serving is None and _mostly_wrong(candidate):
        return "More of its regions are wrong than right"
    # Time alone would let labels pass that were shuffled: drawing outlines takes longer than deleting wrong ones.
    if ranked is not None and candidate.box_AP50 < LEAST_AP50 * ranked.box_AP50:
        return f"AP50 falls below {LEAST_AP50:.0%} of what serves"
    return None


def _made_up_for(candidate: Judgement, ranked: Judgement) -> float:
    """Which loss, as a share of what drawing takes, the candidate's quality makes up for; -1: not even none."""
    if candidate.box_AP50 <= ranked.box_AP50:
        return -1
    pairs = [(candidate.box_AP50, ranked.box_AP50)]
    if candidate.mask_AP50 is not None:
        pairs.append((candidate.mask_AP50, ranked.mask_AP50 or 0))
    return MODERATE if all(after >= CLEARLY * before for after, before in pairs) else SLIGHT


def _mostly_wrong(candidate: Judgement) -> bool:
    """At its operating point, or from SCORE_THRESHOLD on: chance finds a threshold for labels that were shuffled."""
    right = sum(one.found for one in candidate.outcomes)
    wrong = sum(one.false_positives for one in candidate.outcomes)
    usual = [one.kept for one in candidate.regions if one.score >= SCORE_THRESHOLD]
    is_wrong = right <= wrong or 2 * sum(usual) < len(usual)
    return is_wrong and candidate.box_AP50 < FIRST_AP50


def _levels(candidate: Judgement, serving: Judgement | None) -> str:
    before = None if serving is None else serving.box_AP50
    text = f"AP50 {_change(before, candidate.box_AP50)}"
    if candidate.mask_AP50 is not None:
        text += f", mask AP50 {_change(serving.mask_AP50 if serving else None, candidate.mask_AP50)}"
    no_edit = _change(serving.no_edit_share if serving else None, candidate.no_edit_share)
    wrong = _change(
        serving.false_positives_per_image if serving else None, candidate.false_positives_per_image
    )
    return f"{text}, no edit needed {no_edit}, false positives per image {wrong}"


def _change(before: float | None, after: float) -> str:
    return f"{after:.3f}" if before is None else f"{before:.3f} -> {after:.3f}"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
