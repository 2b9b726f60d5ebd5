"""The gate: whether a candidate takes the serving version's place.

What counts is the seconds that a person saves (effort.py): they weigh regions that can stay, regions to correct,
objects to draw and regions to delete in one figure per image, each side at its own operating point. A candidate is
promoted unless it is probably worse, on images that neither side has learnt from: it must save time in a quarter of the
bootstrap resamples of the images.

A quarter, because before anything is measured the one that learnt from more labels is the better one, and because it is
judged by weights that learnt from less: each fold's lack a half or a third of the images, which after a growth by half
are no more than what serves has learnt from. And the two errors do not cost the same: a candidate that is a little
worse is replaced a round later, while one that is better and is turned away costs the people a round of its help.
docs/gate.md has how often that errs.

Where nothing serves yet, the comparison is with drawing everything, and either more regions must be right than wrong,
at the operating point and from a score of 0.3 on, or AP50 of boxes be 0.6: then the right ones score above the wrong
ones. Else people would mostly delete, which time alone would allow: an outline costs as much as many deletions.
Without any image to judge by only a first version is promoted. A candidate that is equal is rejected, and one that
finds no labelled object always: silence is fewer deletions, and nobody wants it. So is one that costs more than
drawing everything, whatever serves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.judging.bootstrap import bootstrap_share
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.judgement import SCORE_THRESHOLD, Judgement

#: The share of resamples that must improve.
LEVEL = 0.25
#: A first version with this AP50 may show more wrong regions than right ones. Labels that were shuffled give less: what
#: looks alike gets all of them with the same score.
FIRST_AP50 = 0.6


@dataclass(frozen=True)
class GateDecision:
    """Whether the candidate is promoted, and why, in one or two sentences with the figures."""

    promoted: bool
    reason: str


def decide(candidate: Judgement, serving: Judgement | None, effort: Effort) -> GateDecision:
    """Both judged on the same images in the same order; `serving` is None where nothing serves that knows a label.

    Raises ValueError when the two were judged on different numbers of images.
    """
    if not candidate.images:
        return _without_images(serving)
    gains = _gains(candidate, serving, effort)
    figures = (
        f"{gains.mean():+.1f} s saved per image on {_images(candidate.images)}, {_levels(candidate, serving)}"
    )
    objection = _objection(candidate, serving, gains, effort)
    if objection:
        return GateDecision(False, f"{objection}: {figures}.")
    return GateDecision(True, f"{'Better' if gains.sum() > 0 else 'Not clearly worse'}: {figures}.")


def _without_images(serving: Judgement | None) -> GateDecision:
    if serving is None:
        return GateDecision(
            True, "Promoted unjudged: there is no image to judge by yet, and nothing else serves."
        )
    return GateDecision(False, "Not judged: there is no image to judge by yet, so the serving version stays.")


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


def _objection(candidate: Judgement, serving: Judgement | None, gains: Array, effort: Effort) -> str | None:
    """What speaks against the candidate, if anything."""
    if not gains.any():
        return "Nothing changes"
    share = bootstrap_share(gains)
    if share < LEVEL:
        return f"Probably worse (better in {share:.0%} of resamples, {LEVEL:.0%} needed)"
    if not any(one.found for one in candidate.outcomes):
        return f"It finds none of the {candidate.objects} labelled objects"
    if seconds_with(candidate.outcomes, effort) > seconds_without(candidate.outcomes, effort):
        return "Drawing from nothing takes less time"
    if serving is None and _mostly_wrong(candidate):
        return "More of its regions are wrong than right"
    return None


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
