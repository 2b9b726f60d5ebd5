"""Other ways to rank labels that may be wrong, as findings: what prelabel's ranking is compared with.

ObjectLab (arXiv 2309.00832) is cleanlab's own implementation. Loss inspection (arXiv 2303.06999) sums the losses of
both stages; of the first stage its box regression is there, to the nearest proposal, but not its objectness. Plain
confidence is the score of the detection that an object's label has, or lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from fbnetv3.data.examples import Example, Examples
from fbnetv3.network.box_head import ROI_CODER
from fbnetv3.overlap import box_iou
from fbnetv3.review import IssueKind, LabelIssue, OutOfFold

Method = Callable[[Examples, Sequence[OutOfFold]], list[LabelIssue]]

OF_OBJECTS: tuple[IssueKind, ...] = ("swapped_label", "badly_placed", "spurious")
SAME_PLACE = 0.5
TINY = 1e-6


def by_confidence(examples: Examples, predictions: Sequence[OutOfFold]) -> list[LabelIssue]:
    """Overlooked: the score of a detection on no labelled object. The rest: 1 - the best score of its label."""
    found = []
    for image, seen in enumerate(predictions):
        example = examples[image]
        iou = box_iou(seen.instances.boxes, example.boxes)
        found += _overlooked(image, seen, iou, seen.instances.scores)
        right = seen.instances.classes[:, None] == example.classes
        best = (seen.instances.scores[:, None] * (right & (iou >= SAME_PLACE))).max(0, initial=0.0)
        found += _of_objects(image, 1 - best)
    return _ranked(found)


def by_loss(examples: Examples, predictions: Sequence[OutOfFold]) -> list[LabelIssue]:
    """Cross entropy and L1 box regression of the second stage, box regression of the first; a detection on no object
    has the cross entropy to background."""
    found = []
    for image, seen in enumerate(predictions):
        example = examples[image]
        iou = box_iou(seen.instances.boxes, example.boxes)
        found += _overlooked(image, seen, iou, -np.log(1 - seen.instances.scores + TINY))
        found += _of_objects(image, _losses(example, seen))
    return _ranked(found)


def _losses(example: Example, seen: OutOfFold) -> np.ndarray:
    given = np.take_along_axis(seen.class_scores, example.classes[:, None], 1)[:, 0]
    regression = ROI_CODER.encode(_tensor(example.boxes), _tensor(seen.redrawn)).abs().sum(1).numpy()
    return -np.log(given + TINY) + np.nan_to_num(regression, posinf=1e3) + (1 - seen.proposal_iou)


def by_objectlab(examples: Examples, predictions: Sequence[OutOfFold], **thresholds: Any) -> list[LabelIssue]:
    """cleanlab's scores per box; it has no kind for labels where nothing is."""
    from cleanlab.object_detection import rank

    labels = [
        {"bboxes": one.boxes.astype(float), "labels": one.classes}
        for one in (examples[image] for image in range(len(predictions)))
    ]
    found_by_class = [_by_class(seen, len(examples.labels)) for seen in predictions]
    both: dict[str, Any] = {"labels": labels, "predictions": found_by_class}
    low = {name: value for name, value in thresholds.items() if name == "low_probability_threshold"}
    high = {name: value for name, value in thresholds.items() if name == "high_probability_threshold"}
    overlooked = rank.compute_overlooked_box_scores(**both, **high)
    swapped = rank.compute_swap_box_scores(**both, **high)
    misplaced = rank.compute_badloc_box_scores(**both, **low)
    found = []
    for image, seen in enumerate(predictions):
        order = np.argsort(seen.instances.classes, kind="stable")
        for d, score in zip(order, overlooked[image], strict=True):
            if np.isfinite(score):
                box = seen.instances.boxes[d]
                found.append(LabelIssue("overlooked", float(1 - score), image, (), None, box))
        found += _of_objects(image, 1 - np.asarray(swapped[image]), ("swapped_label",))
        found += _of_objects(image, 1 - np.asarray(misplaced[image]), ("badly_placed",))
    return _ranked(found)


def by_objectlab_low(examples: Examples, predictions: Sequence[OutOfFold]) -> list[LabelIssue]:
    """The same for detectors that are less sure of themselves: every score of 0.3 or more counts as high."""
    return by_objectlab(examples, predictions, low_probability_threshold=0.1, high_probability_threshold=0.3)


def _by_class(seen: OutOfFold, classes: int) -> np.ndarray:
    """Detections as cleanlab has them: for each class an array (n, 5) of boxes and scores."""
    rows = np.column_stack([seen.instances.boxes, seen.instances.scores]).astype(float)
    return np.array([rows[seen.instances.classes == one] for one in range(classes)] + [None], object)[:-1]


def _overlooked(image: int, seen: OutOfFold, iou: np.ndarray, scores: np.ndarray) -> Iterator[LabelIssue]:
    for d in np.flatnonzero(iou.max(1, initial=0.0) < SAME_PLACE):
        yield LabelIssue("overlooked", float(scores[d]), image, (), None, seen.instances.boxes[d])


def _of_objects(
    image: int, scores: np.ndarray, kinds: Sequence[IssueKind] = OF_OBJECTS
) -> Iterator[LabelIssue]:
    """A method that does not tell kinds apart has the same score for each."""
    for kind in kinds:
        for one, score in enumerate(scores.tolist()):
            yield LabelIssue(kind, score, image, (one,))


def _ranked(found: list[LabelIssue]) -> list[LabelIssue]:
    return sorted(found, key=lambda finding: -finding.confidence)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))


OTHERS: dict[str, Method] = {
    "ObjectLab": by_objectlab,
    "ObjectLab, low thresholds": by_objectlab_low,
    "sum of losses": by_loss,
    "confidence": by_confidence,
}
