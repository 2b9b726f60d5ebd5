"""Whole-image choices: how often a version's suggestions are right, and whether a candidate's may serve.

Suggestions are those of `fbnetv3.classification.suggestions`. The rule is the gate's (gate.py), with clicks in place
of seconds: a candidate is better when it saves clicks in total and chance is not the likely reason; it is worse when
some choice takes more of them. Where nothing serves a choice yet, the comparison is with no suggestion, and a wrong one
counts as a click even where it is changed by the same click that no suggestion would have taken: people overlook some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.classification.linear_head import LinearHead, pool_images
from fbnetv3.classification.suggestions import SUGGESTION_THRESHOLD, suggested
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.data.snapshot import HOLDOUT, Snapshot
from fbnetv3.detector import Detector
from fbnetv3.judging.bootstrap import bootstrap_share
from fbnetv3.judging.choice_outcomes import ChoiceOutcome, HeadJudgement, HeadsJudgement
from fbnetv3.judging.gate import GateDecision

#: Clicks per image that one choice may lose for another's sake: one in twenty images.
TOLERANCE = 0.05
#: The share of resamples that must improve: a little worse is replaced a round later, better and turned away is a loss.
LEVEL = 0.75
#: From this many images on the bootstrap decides; of three images that all improve, every resample would.
ENOUGH_IMAGES = 8


@dataclass(frozen=True)
class ChoicesDecision(GateDecision):
    """What the choices say about a candidate. `promoted`: they are better; `worse`: they are worse. Never both.

    Neither is a tie, or a difference that chance may have made. A version whose objects are better may serve unless
    its choices are worse; one whose objects are not better needs better choices, and objects that are not worse.
    """

    worse: bool


def judge_heads(
    detector: Detector,
    heads: Sequence[LinearHead],
    snapshot: Snapshot,
    thresholds: Mapping[str, float] | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> HeadsJudgement:
    """Look once at every hold-out image that has a choice, and compare what is suggested with what was chosen.

    `detector` has the weights that `heads` were fitted on. Heads and classes are matched with the snapshot's by name:
    what a head does not know is not suggested, and what the snapshot does not know is not shown. `thresholds`: head
    name -> least probability of a suggestion, SUGGESTION_THRESHOLD for others. `on_image` is called after each image.
    Raises ImageError for one that cannot be read.
    """
    by_name = {head.spec.name: head for head in heads}
    images = snapshot.labelled_images(HOLDOUT)
    looked_at = [image.path for image in images if by_name.keys() & image.chosen.keys()]
    pooled = dict(zip(looked_at, pool_images(detector, looked_at, on_image), strict=True))
    judged = []
    for spec in snapshot.head_specs:
        head = by_name.get(spec.name)
        threshold = (thresholds or {}).get(spec.name, SUGGESTION_THRESHOLD)
        outcomes = []
        for image in images:
            shown = (
                _shown(head, pooled[image.path], spec, threshold) if head and image.path in pooled else set()
            )
            outcomes.append(_outcome(shown, image.chosen.get(spec.name)))
        judged.append(HeadJudgement(spec.name, spec.multi_label, head is not None, tuple(outcomes)))
    return HeadsJudgement(tuple(judged))


def _shown(head: LinearHead, pooled: Array, spec: HeadSpec, threshold: float) -> set[str]:
    [probabilities] = head.probabilities(pooled[None]).tolist()
    of_class = dict(zip(head.spec.classes, probabilities, strict=True))
    known = {name: of_class[name] for name in spec.classes if name in of_class}
    return set(suggested(known, threshold, spec.multi_label))


def _outcome(shown: set[str], chosen: tuple[str, ...] | None) -> ChoiceOutcome | None:
    if chosen is None:
        return None
    right = len(shown & set(chosen))
    return ChoiceOutcome(len(chosen), right, len(shown) - right)


def decide_heads(candidate: HeadsJudgement, serving: HeadsJudgement | None) -> ChoicesDecision:
    """Both judged on the same snapshot; `serving` is None where no version serves, or none with heads.

    Raises ValueError when the two were judged on other images or choices.
    """
    if not any(head.images for head in candidate.heads):
        return _without_images(candidate, serving)
    pairs = _pairs(candidate, serving)
    saved = clicks_saved(candidate, serving)[_labelled(candidate)]
    figures = (
        f"{saved.mean():+.2f} clicks saved per image on {len(saved)} labelled for choices, {_levels(pairs)}"
    )
    for after, before in pairs:
        if _is_worse(_saved(after, before)[_is_labelled(after)]):
            return ChoicesDecision(False, f"{after.name} is worse: {figures}.", worse=True)
    objection = _not_better(saved)
    if objection:
        return ChoicesDecision(False, f"{objection}: {figures}.", worse=False)
    return ChoicesDecision(True, f"Better: {figures}.", worse=False)


def clicks_saved(candidate: HeadsJudgement, serving: HeadsJudgement | None) -> Array:
    """(n,) clicks that the candidate saves on each image of the hold-out, in its order, over all choices.

    An image that is not labelled for any choice has 0. The same order as the outcomes of a Judgement of the same
    hold-out. Raises ValueError when the two were judged on other images or choices.
    """
    saved: Array = np.sum([_saved(after, before) for after, before in _pairs(candidate, serving)], axis=0)
    return saved


_Pair = tuple[HeadJudgement, HeadJudgement | None]


def _pairs(candidate: HeadsJudgement, serving: HeadsJudgement | None) -> list[_Pair]:
    """Each choice with the serving version's judgement of it, None where nothing serves it."""
    if serving is None:
        return [(after, None) for after in candidate.heads]
    pairs = list(zip(candidate.heads, serving.heads, strict=True))
    for after, before in pairs:
        if after.name != before.name or (_is_labelled(after) != _is_labelled(before)).any():
            raise ValueError(f"{after.name} and {before.name} were not judged on the same images")
    return [(after, before if before.known else None) for after, before in pairs]


def _saved(after: HeadJudgement, before: HeadJudgement | None) -> Array:
    """(images of the hold-out,) clicks saved by one choice's suggestions; 0 for an image not labelled for it."""
    if before is None:
        return np.array([0.0 if one is None else one.right - one.wrong for one in after.outcomes])
    return np.array(
        [
            0.0 if one is None or other is None else before.clicks(other) - after.clicks(one)
            for one, other in zip(after.outcomes, before.outcomes, strict=True)
        ]
    )


def _is_labelled(head: HeadJudgement) -> Array:
    return np.array([one is not None for one in head.outcomes], bool)


def _labelled(judgement: HeadsJudgement) -> Array:
    labelled: Array = np.any([_is_labelled(head) for head in judgement.heads], axis=0)
    return labelled


def _not_better(saved: Array) -> str | None:
    """What speaks against calling (n,) saved clicks a gain, if anything."""
    if saved.sum() <= 0:
        return "Not better"
    if len(saved) < ENOUGH_IMAGES:
        return None if (saved > 0).sum() > (saved < 0).sum() else "Not better on most images"
    share = bootstrap_share(saved)
    return (
        None
        if share >= LEVEL
        else f"Perhaps chance ({share:.0%} of resamples are better, {LEVEL:.0%} needed)"
    )


def _is_worse(saved: Array) -> bool:
    """Whether one choice loses clicks, by more than is tolerated and than chance makes likely."""
    if len(saved) < ENOUGH_IMAGES:
        return bool(saved.sum() < 0)
    return bool(saved.mean() < -TOLERANCE and bootstrap_share(-saved) >= LEVEL)


def _without_images(candidate: HeadsJudgement, serving: HeadsJudgement | None) -> ChoicesDecision:
    if not any(head.known for head in candidate.heads):
        return ChoicesDecision(False, "No choice has different answers among its labels yet.", worse=False)
    if serving is None or not any(head.known for head in serving.heads):
        reason = "Promoted unjudged: no image with choices is held out yet, and nothing else serves."
        return ChoicesDecision(True, reason, worse=False)
    return ChoicesDecision(False, "Not judged: no image with choices is held out yet.", worse=False)


def _levels(pairs: list[_Pair]) -> str:
    return ", ".join(
        f"{after.name} right without a click "
        + (f"{after.accuracy:.0%}" if before is None else f"{before.accuracy:.0%} -> {after.accuracy:.0%}")
        for after, before in pairs
        if after.images
    )
