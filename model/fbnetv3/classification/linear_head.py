"""Linear heads: a project's own whole-image choices, read off the feature maps that the detector has anyway.

Applying one needs numpy only. `fitting.py` trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fbnetv3.arrays import Array, sigmoid, softmax
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.images import ImageError

if TYPE_CHECKING:
    from fbnetv3.detector import Detector

#: What `pool` does, kept with the heads that were fitted to it: to be changed when it changes.
POOLING = "mean-std-max-min"
#: Keeps a map of zeros finite.
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class LinearHead:
    """One choice's logits: pooled @ weight.T + bias.

    `weight` (classes, d) float32, `bias` (classes,) float32, the classes in the order of `spec`; d is what `pool`
    makes of the feature maps of the weights that it was fitted on. It means nothing to other weights.
    """

    spec: HeadSpec
    weight: Array
    bias: Array

    def probabilities(self, pooled: Array) -> Array:
        """(n, d) -> (n, classes), 0..1: softmax, or one sigmoid per class where several may hold.

        Raises ValueError for pooled features of another network.
        """
        return activate(pooled @ self.weight.T + self.bias, self.spec.multi_label)

    def distributions(self, pooled: Array) -> list[Array]:
        """(d,) -> what it may be unsure of, each (k,) probabilities that sum to 1: its classes where one of them holds,
        yes and no for each class where several may. Nothing of a single class, which is certain.
        """
        [probabilities] = self.probabilities(pooled[None])
        if self.spec.multi_label:
            return [np.array([p, 1 - p]) for p in probabilities.tolist()]
        return [probabilities] if len(probabilities) > 1 else []


def activate(logits: Array, multi_label: bool) -> Array:
    """(n, classes) logits -> probabilities, see LinearHead.probabilities."""
    return sigmoid(logits) if multi_label else softmax(logits)


def pool(maps: Mapping[str, Array]) -> Array:
    """Feature maps (C, h, w) -> (d,) float32: every channel's mean, spread, largest and smallest value, level by level.

    Each of the statistics is scaled to length 1, so that an image's contrast does not count. docs/choices.md has
    what other poolings come to.
    """
    flat = [maps[level].reshape(len(maps[level]), -1).astype(np.float32) for level in sorted(maps)]
    parts = [part for m in flat for part in (m.mean(1), m.std(1), m.max(1), m.min(1))]
    return np.concatenate([part / max(float(np.linalg.norm(part)), TINY) for part in parts])


def pool_images(
    detector: Detector, paths: Sequence[Path], on_image: Callable[[], None] = lambda: None
) -> Array:
    """(n, d) pooled features of image files, which the detector looks at once each; `on_image` is called after each.

    Raises ImageError, with the file's name, for one that cannot be read.
    """
    rows = []
    for path in paths:
        try:
            rows.append(pool(detector.set_image(path).maps))
        except ImageError as error:
            raise ImageError(f"{path.name}: {error}") from None
        on_image()
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)
