"""What a model that has not trained on an image makes of it, and of the boxes that its labels stand in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Example, Examples
from fbnetv3.detector import Detector
from fbnetv3.image_features import ImageFeatures
from fbnetv3.instances import Instances
from fbnetv3.overlap import box_iou

#: What scores less gets no mask, the most expensive part of a detection, and is no correction to suggest.
MASK_SCORE = 0.2


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """One image with m labelled objects, seen by a model that was not trained on it.

    `instances`: everything that it finds, by the data set's labels. Of the labelled boxes: `class_scores`
    (m, classes) float32, what the second stage sees in them, background is what is missing to 1; `redrawn` (m, 4)
    float32, where it would put them; `proposal_iou` (m,) 0..1, how closely the first stage proposed them. `known`
    (classes,) bool: the labels that the model has learnt; it cannot judge others.
    """

    instances: Instances
    class_scores: Array
    redrawn: Array
    proposal_iou: Array
    known: Array


def held_out(
    detector: Detector, examples: Examples, on_image: Callable[[], None] = lambda: None
) -> list[OutOfFold]:
    """What a detector makes of examples that it was not trained on; labels are matched by name."""
    found = []
    for index in range(len(examples)):
        found.append(predict_held_out(detector, examples[index], examples.labels))
        on_image()
    return found


def predict_held_out(detector: Detector, example: Example, labels: Sequence[str]) -> OutOfFold:
    """What a detector makes of one example whose classes mean `labels`."""
    features = detector.set_image(example.image)
    [found] = detector.find([features], mask_threshold=MASK_SCORE)
    own = [detector.labels.index(label) if label in detector.labels else -1 for label in labels]
    known = np.array(own, np.int64) >= 0
    scores, redrawn = _at_labels(detector, features, example, np.array(own, np.int64))
    proposals = features.encoded.proposals * features.scale
    closest = box_iou(example.boxes, proposals).max(1, initial=0.0)
    return OutOfFold(_relabelled(found, labels), scores, redrawn, closest.astype(np.float32), known)


def _at_labels(
    detector: Detector, features: ImageFeatures, example: Example, own: Array
) -> tuple[Array, Array]:
    """Class scores (m, classes) of the labelled boxes, and the boxes (m, 4) that the box head makes of them.

    `own` (classes,): the detector's class of each label, -1 for none. A box whose label the detector does not know
    stays where it is.
    """
    count, known = len(example.boxes), own >= 0
    scores = np.zeros((count, len(own)), np.float32)
    redrawn = example.boxes.astype(np.float32).copy()
    if not count or not known.any():
        return scores, redrawn
    found, better = detector.engine.classify(features.encoded, example.boxes / features.scale)
    scores[:, known] = found[:, own[known]]
    judged = np.flatnonzero(known[example.classes])
    redrawn[judged] = better[judged, own[example.classes[judged]]] * features.scale
    height, width = features.image_size
    return scores, redrawn.clip(0, np.array([width, height] * 2, np.float32))


def _relabelled(found: Instances, labels: Sequence[str]) -> Instances:
    """The instances whose labels are among these, as classes of these."""
    kept = found.select([i for i, label in enumerate(found.labels) if label in labels])
    classes = np.array([labels.index(label) for label in kept.labels], np.int64)
    return replace(kept, classes=classes, label_names=tuple(labels))
