"""The class scores of regions by a project's labels, as fitted to a handful of images; a file of some kilobytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fbnetv3.arrays import Array, softmax
from fbnetv3.files import write_whole
from fbnetv3.weights.checkpoint import WeightsError

CONTENT = "region head"
"""In the file's metadata, as JSON: what is no array."""


@dataclass(frozen=True, eq=False)
class RegionHead:
    """Scores are the softmax of vectors @ weight + bias, background last, whose score is not reported.

    `weight` (d, labels + 1), `bias` (labels + 1,), float32. `base`: the version of the detector whose vectors these
    are; they mean nothing to others. `images`: how many it was fitted to. `thresholds`: label -> the score from which
    on its regions are worth showing; a label that is not in it has no opinion.
    """

    labels: tuple[str, ...]
    weight: Array
    bias: Array
    base: str
    images: int
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def scores(self, vectors: Array) -> Array:
        """(n, d) -> (n, labels) float32, 0..1."""
        return softmax(vectors @ self.weight + self.bias)[:, :-1].astype(np.float32)


def write_head(head: RegionHead, path: Path) -> None:
    """Write a head whole or not at all. Raises OSError."""
    about = {
        "labels": head.labels,
        "base": head.base,
        "images": head.images,
        "thresholds": dict(head.thresholds),
    }
    write_whole(save({"weight": head.weight, "bias": head.bias}, metadata={CONTENT: json.dumps(about)}), path)


def read_head(path: Path) -> RegionHead:
    """What `write_head` wrote. Raises WeightsError."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})[CONTENT])
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
        return RegionHead(
            tuple(about["labels"]), weight, bias, about["base"], about["images"], about["thresholds"]
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds no provisional version: {error}") from None
