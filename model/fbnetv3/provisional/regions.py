"""What is kept of a labelled image: its regions as the base weights describe them, its objects, and which region is on
which object. A head is fitted to it and judged by it, without looking at the image again.
"""

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
from fbnetv3.judging.outcomes import has_outline
from fbnetv3.overlap import box_iou
from fbnetv3.provisional.detector import better_boxes
from fbnetv3.weights.checkpoint import WeightsError

CONTENT = "labelled regions"
"""In the file's metadata, as JSON: the names."""

ARRAYS = ("vectors", "boxes", "owners", "objects", "outlined")
"""In the file."""


NO_OBJECT, UNCLEAR = -1, -2
"""In the place of a region's object: it is on none, or it may or may not be on one."""


@dataclass(frozen=True, eq=False)
class LabelledRegions:
    """`vectors` (n, d) float16; `boxes` (n, 4) float32: where the base network says that the object of each region is;
    `owners` (n,) int64: each region's object, NO_OBJECT or UNCLEAR. The last m of them are the m objects themselves.

    `objects` (m, 4) float32; `names`: their labels; `outlined` (m,) bool: whether a person drew their outline. Boxes
    are in pixels of the network's input.
    """

    vectors: Array
    boxes: Array
    owners: Array
    objects: Array
    names: tuple[str, ...]
    outlined: Array


def labelled_regions(
    detector: Detector,
    features: ImageFeatures,
    boxes: Array,
    names: Sequence[str],
    outlined: Sequence[bool] | None = None,
) -> LabelledRegions:
    """The regions of an image with objects in `boxes` (m, 4), pixels of the image, labelled `names`; without `outlined`
    none has an outline.

    They are the detector's proposals, and the objects themselves.
    """
    objects = (boxes / features.scale).astype(np.float32)
    regions = np.concatenate([features.encoded.proposals, objects])
    owners: Array = np.full(len(regions), NO_OBJECT, np.int64)
    if len(objects):
        overlap = box_iou(regions, objects)
        best = overlap.max(1)
        owners = np.where(best >= BACKGROUND, UNCLEAR, NO_OBJECT)
        owners = np.where(best >= FOREGROUND, overlap.argmax(1), owners)
    described = detector.engine.describe(features.encoded, regions)
    return LabelledRegions(
        described.vectors.astype(np.float16),
        better_boxes(described, features.encoded.size),
        owners,
        objects,
        tuple(names),
        np.array([False] * len(names) if outlined is None else outlined, bool),
    )


def regions_of_example(detector: Detector, example: Example, labels: Sequence[str]) -> LabelledRegions:
    """The regions of a labelled image; `labels`: what its classes mean."""
    names = [labels[class_] for class_ in example.classes]
    features = detector.set_image(example.image)
    return labelled_regions(detector, features, example.boxes, names, has_outline(example).tolist())


def write_regions(regions: LabelledRegions, path: Path) -> None:
    """Write regions whole or not at all. Raises OSError."""
    content = {name: getattr(regions, name) for name in ARRAYS}
    write_whole(save(content, metadata={CONTENT: json.dumps(regions.names)}), path)


def read_regions(path: Path) -> LabelledRegions:
    """What `write_regions` wrote. Raises WeightsError."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {})[CONTENT])
            return LabelledRegions(names=tuple(names), **{name: file.get_tensor(name) for name in ARRAYS})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds no labelled regions: {error}") from None
