"""The operating point of a provisional version, from what is kept of the labelled images: tenths of a second.

The same choice as everywhere (`fbnetv3.judging.operating_point`), but of boxes alone, because masks would need the
images again: of an object that was outlined a region is good where its box is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.config import ModelConfig
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.findings import LabelFindings
from fbnetv3.judging.operating_point import Curves
from fbnetv3.judging.outcomes import FOUND_BOX, GOOD_BOX, Pair
from fbnetv3.overlap import box_iou
from fbnetv3.provisional.detector import reported
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.left_out import LeftOutHeads
from fbnetv3.provisional.regions import LabelledRegions


def head_thresholds(
    regions: Sequence[LabelledRegions],
    heads: LeftOutHeads,
    labels: Sequence[str],
    config: ModelConfig,
    effort: Effort,
    default: float,
) -> dict[str, float]:
    """Label -> the score from which on regions of the head that is fitted to these images are to be shown.

    Each image judges one of `heads` that was not fitted to it. `labels`: of the heads. `config`: of the base network;
    `default`, 0..1: the threshold where few images say otherwise.
    """
    found = [_by_label(regions[place], head, config) for head, places in heads for place in places]
    return Curves.of(found, labels, effort, default).best()


def _by_label(image: LabelledRegions, head: RegionHead, config: ModelConfig) -> Mapping[str, LabelFindings]:
    count = len(image.boxes) - len(image.objects)
    boxes, all_scores = image.boxes[:count], head.scores(image.vectors[:count])
    rows, classes = reported(all_scores, boxes, config)
    scores, names = all_scores[rows, classes], np.array(image.names, object)
    found = {}
    for class_, label in enumerate(head.labels):
        mine, objects = classes == class_, names == label
        pairs = tuple(_pairs(box_iou(boxes[rows[mine]], image.objects[objects])))
        found[label] = LabelFindings(scores[mine], image.outlined[objects], pairs, pairs)
    return found


def _pairs(overlap: Array) -> list[Pair]:
    near = np.argwhere(overlap >= FOUND_BOX).tolist()
    return [Pair(bool(overlap[i, j] >= GOOD_BOX), float(overlap[i, j]), i, j) for i, j in near]
