"""Annotated objects against what a model that has not trained on them makes of their image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fbnetv3.data.examples import Example, Examples
from fbnetv3.review.duplicates import duplicates
from fbnetv3.review.evidence import OfObjects, mask_of, of_detections, of_objects
from fbnetv3.review.label_issues import IssueKind, LabelIssue
from fbnetv3.review.likelihoods import LIKELIHOODS, OUTCOMES, Likelihoods
from fbnetv3.review.predictions import OutOfFold

LEAST = 0.05
"""What is less likely is not worth checking."""


def find_label_issues(
    examples: Examples,
    predictions: Sequence[OutOfFold],
    *,
    least: float = LEAST,
    likelihoods: Likelihoods = LIKELIHOODS,
) -> list[LabelIssue]:
    """What looks wrong in all examples with a confidence of `least` (0..1) or more, the likeliest first.

    `predictions` belong to the examples one to one. An object may have several issues, of different kinds.
    Objects whose label the model does not know are looked at for duplicates only.
    """
    found: list[LabelIssue] = []
    for index, seen in enumerate(predictions):
        example = examples[index]
        found += _overlooked(index, example, seen, likelihoods)
        found += _wrong(index, example, seen, likelihoods)
        found += _duplicates(index, example)
    likely = [issue for issue in found if issue.confidence >= least]
    return sorted(likely, key=lambda issue: -issue.confidence)


def _overlooked(
    index: int, example: Example, seen: OutOfFold, likelihoods: Likelihoods
) -> Iterator[LabelIssue]:
    evidence = of_detections(example, seen)
    found, labels = seen.instances, seen.instances.labels
    for d, confidence in zip(evidence.index, likelihoods.of_detections(evidence.values), strict=True):
        yield LabelIssue(
            "overlooked", float(confidence), index, (), labels[d], found.boxes[d], mask_of(found.masks, d)
        )


def _wrong(index: int, example: Example, seen: OutOfFold, likelihoods: Likelihoods) -> Iterator[LabelIssue]:
    evidence = of_objects(example, seen)
    outcomes = likelihoods.of_objects(evidence.values, bool(seen.known.sum() > 1))
    for one in np.flatnonzero(seen.known[example.classes]):
        for kind, confidence in zip(OUTCOMES, outcomes[one].tolist(), strict=True):
            if kind is not None and confidence > 0:
                yield _about(kind, confidence, index, int(one), seen, evidence)


def _about(
    kind: IssueKind, confidence: float, index: int, one: int, seen: OutOfFold, evidence: OfObjects
) -> LabelIssue:
    """With what the model would have instead: another label; the place of the best detection, or the redrawn box."""
    if kind == "swapped_label":
        return LabelIssue(kind, confidence, index, (one,), seen.instances.label_names[evidence.other[one]])
    if kind == "badly_placed":
        best = int(evidence.partner[one])
        box = seen.redrawn[one] if best < 0 else seen.instances.boxes[best]
        mask = None if best < 0 else mask_of(seen.instances.masks, best)
        return LabelIssue(kind, confidence, index, (one,), None, box, mask)
    return LabelIssue(kind, confidence, index, (one,))


def _duplicates(index: int, example: Example) -> Iterator[LabelIssue]:
    for first, second, confidence in duplicates(example.boxes, example.classes, example.masks):
        yield LabelIssue("duplicate", confidence, index, (second, first))
