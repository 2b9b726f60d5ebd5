"""What is kept of a labelled image: its regions as the base weights describe them, and which object each is on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fbnetv3.arrays import Array
from fbnetv3.class_scores import BACKGROUND, FOREGROUND
from fbnetv3.data.examples import Example
from fbnetv3.detector import Detector
from fbnetv3.files import write_whole
from fbnetv3.image_features import ImageFeatures
from fbnetv3.overlap import box_iou
from fbnetv3.weights.checkpoint import WeightsError

CONTENT = "labelled regions"
"""In the file's metadata, as JSON: the names."""


@dataclass(frozen=True, eq=False)
class LabelledRegions:
    """`vectors` (n, d) float16; `names`: the labels of the image's objects, each once; `owners` (n,) int64: each
    region's place in `names`, -1 for background.
    """

    vectors: Array
    names: tuple[str, ...]
    owners: Array


def labelled_regions(
    detector: Detector, features: ImageFeatures, boxes: Array, names: Sequence[str]
) -> LabelledRegions:
    """The regions of an image with objects in `boxes` (m, 4), pixels of the image, labelled `names`.

    They are the detector's proposals, and the objects themselves.
    """
    objects = (boxes / features.scale).astype(np.float32)
    regions = np.concatenate([features.encoded.proposals, objects])
    distinct = tuple(dict.fromkeys(names))
    owners: Array = np.full(len(regions), -1, np.int64)
    known = np.ones(len(regions), bool)
    if len(objects):
        overlap = box_iou(regions, objects)
        best = overlap.max(1)
        place = np.array([distinct.index(name) for name in names])
        owners = np.where(best >= FOREGROUND, place[overlap.argmax(1)], -1)
        known = (best >= FOREGROUND) | (best < BACKGROUND)
    vectors = detector.engine.describe(features.encoded, regions[known]).vectors
    return LabelledRegions(vectors.astype(np.float16), distinct, owners[known])


def regions_of_example(detector: Detector, example: Example, labels: Sequence[str]) -> LabelledRegions:
    """The regions of a labelled image; `labels`: what its classes mean."""
    names = [labels[class_] for class_ in example.classes]
    return labelled_regions(detector, detector.set_image(example.image), example.boxes, names)


def write_regions(regions: LabelledRegions, path: Path) -> None:
    """Write regions whole or not at all. Raises OSError."""
    content = {"vectors": regions.vectors, "owners": regions.owners}
    write_whole(save(content, metadata={CONTENT: json.dumps(regions.names)}), path)


def read_regions(path: Path) -> LabelledRegions:
    """What `write_regions` wrote. Raises WeightsError."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {})[CONTENT])
            return LabelledRegions(file.get_tensor("vectors"), tuple(names), file.get_tensor("owners"))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds no labelled regions: {error}") from None
