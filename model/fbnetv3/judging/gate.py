"""The gate: whether a candidate takes the serving version's place.

What counts is the seconds that a person saves (effort.py): they weigh regions that can stay, regions to correct,
objects to draw and regions to delete in one figure per image, and images can be compared in pairs. A candidate is
promoted when

1. it saves time on the hold-out in total,
2. AP50 of boxes, and of masks, falls by at most 0.02, so that no label is given up for another's sake,
3. and chance is not the likely reason: in 2,000 bootstrap resamples of the images, it saves time in 75 %.

No more than 75 %, because the two errors do not cost the same: a candidate that is a little worse is replaced a round
later, while one that is better and is turned away costs the people a round of its help. In replays, 90 % turned away a
candidate that had doubled AP50.

Below 8 images a bootstrap is overconfident (of three images that all improve, every resample improves). There the
third condition is that more images improve than worsen, and AP50 may not fall at all. That lets a candidate through
that is as good as the serving version about every other time, which costs nothing; it keeps out one that is worse.
Waiting for certainty would cost: while labels are few, a round of them doubles the data.

Where nothing serves yet, the comparison is with drawing everything, and either more regions must be right than wrong
or AP50 of boxes be 0.6: then the right ones score above the wrong ones, and a higher threshold is all that is needed.
Else people would mostly delete, which time alone would allow: an outline costs as much as many deletions. Without any
hold-out image only a first version is promoted. A candidate that is equal is rejected, and one that finds no labelled
object always: silence is fewer deletions, and nobody wants it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.judging.effort import Effort, seconds_with, seconds_without
from fbnetv3.judging.judgement import Judgement

#: The share of resamples that must improve. benchmarks/gate.py has what other levels let through.
LEVEL = 0.75
#: What AP50 may lose: on 20 images two fine-tunings on the same labels differ by more.
TOLERANCE = 0.02
#: A first version with this AP50 may show more wrong regions than right ones. Labels that were shuffled give less: what
#: looks alike gets all of them with the same score.
FIRST_AP50 = 0.6
#: From this many images on the bootstrap decides.
ENOUGH_IMAGES = 8
RESAMPLES = 2000


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
    return GateDecision(True, f"Better: {figures}.")


def _without_images(serving: Judgement | None) -> GateDecision:
    if serving is None:
        return GateDecision(True, "Promoted unjudged: no image is held out yet, and nothing else serves.")
    return GateDecision(False, "Not judged: no image is held out yet, so the serving version stays.")


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
    few = len(gains) < ENOUGH_IMAGES
    if gains.sum() <= 0:
        return "Not better"
    if not any(one.found for one in candidate.outcomes):
        return f"It finds none of the {candidate.objects} labelled objects"
    if seconds_with(candidate.outcomes, effort) > seconds_without(candidate.outcomes, effort):
        return "Drawing from nothing takes less time"
    if serving is None and _mostly_wrong(candidate):
        return "More of its regions are wrong than right"
    if serving is not None and _lost(candidate, serving) > (0 if few else TOLERANCE):
        return "AP50 is worse"
    if few:
        return None if (gains > 0).sum() > (gains < 0).sum() else "Not better on most images"
    share = bootstrap_share(gains)
    return (
        None
        if share >= LEVEL
        else f"Perhaps chance ({share:.0%} of resamples are better, {LEVEL:.0%} needed)"
    )


def bootstrap_share(gains: Array, seed: int = 0) -> float:
    """The share, 0..1, of resamples of these (n,) gains whose mean is above 0 (paired bootstrap, Efron 1979)."""
    draws = np.random.default_rng(seed).integers(0, len(gains), (RESAMPLES, len(gains)))
    return float((gains[draws].mean(1) > 0).mean())


def _mostly_wrong(candidate: Judgement) -> bool:
    right = sum(one.found for one in candidate.outcomes)
    wrong = sum(one.false_positives for one in candidate.outcomes)
    return right <= wrong and candidate.box_AP50 < FIRST_AP50


def _lost(candidate: Judgement, serving: Judgement) -> float:
    """How much AP50 falls, of boxes or of masks, whichever falls more; a candidate without masks has 0 there."""
    mask = 0.0 if serving.mask_AP50 is None else serving.mask_AP50 - (candidate.mask_AP50 or 0.0)
    return max(serving.box_AP50 - candidate.box_AP50, mask)


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
