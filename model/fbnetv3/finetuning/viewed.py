"""The labelled images as training reads them: any view of any of them, with what the frozen stages make of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fbnetv3.data.examples import Example, Examples
from fbnetv3.finetuning.feature_cache import FeatureCache
from fbnetv3.finetuning.parts import Features, FrozenPart
from fbnetv3.finetuning.view_masks import ViewMasks, shrink
from fbnetv3.finetuning.views import View, look, view_size
from fbnetv3.instances import BoxMask
from fbnetv3.network.boxes import mirror_boxes
from fbnetv3.network.targets import Target


class Viewed(NamedTuple):
    """One view: what the learning part is given, its (height, width) and its labels."""

    features: Features
    size: tuple[int, int]
    target: Target


@dataclass(frozen=True, eq=False)
class _Labels:
    """What is kept of an example between epochs: all but its pixels; `digest` is of the pixels.

    `masks` are in an image `factor` times as large.
    """

    digest: str
    image_size: tuple[int, int]
    boxes: Tensor
    classes: Tensor
    masks: tuple[BoxMask, ...] | None
    known: Tensor | None
    factor: float


class ViewedExamples:
    """Views of examples at a plan's input size. `cache`: None computes everything again each time."""

    def __init__(
        self,
        examples: Examples,
        views: tuple[View, ...],
        frozen: FrozenPart,
        cache: FeatureCache | None,
        min_size: int,
        max_size: int,
    ) -> None:
        self.examples, self.views = examples, views
        self._frozen, self._cache = frozen, cache
        self._min_size, self._max_size = min_size, max_size
        self._largest = max(view.scale for view in views)
        self._weights = weights_digest(frozen)
        self._labels: dict[int, _Labels] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def view(self, index: int, number: int) -> Viewed:
        """View `number` of example `index`."""
        view = self.views[number]
        example = None
        if index not in self._labels:
            example = self.examples[index]
            self._labels[index] = self._keep(example)
        labels = self._labels[index]
        size = view_size(labels.image_size, view, self._min_size, self._max_size)
        return Viewed(self._features(index, view, example), size, _target(labels, size, view.mirrored))

    def _features(self, index: int, view: View, example: Example | None) -> Features:
        key = self._key(index, view)
        kept = self._cache.get(key) if self._cache else None
        if kept is not None:
            return kept
        pixels = look(example or self.examples[index], view, self._min_size, self._max_size)
        features = self._frozen(torch.from_numpy(np.ascontiguousarray(pixels)))
        if self._cache:
            self._cache.put(key, features)
        return features

    def _key(self, index: int, view: View) -> str:
        content = [
            self._weights,
            self._labels[index].digest,
            self._min_size,
            self._max_size,
            *vars(view).values(),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def _keep(self, example: Example) -> _Labels:
        height, width = example.image.shape[:2]
        seen = view_size((height, width), View(self._largest), self._min_size, self._max_size)
        factor = min(1.0, seen[0] / height)
        masks = known = None
        if example.masks is not None:
            masks = tuple(shrink(mask, factor) for mask in example.masks)
            known = torch.tensor([bool(mask.area) for mask in masks], dtype=torch.bool)
        return _Labels(
            hashlib.sha256(example.image.tobytes()).hexdigest(),
            (height, width),
            torch.from_numpy(example.boxes),
            torch.from_numpy(example.classes),
            masks,
            known,
            factor,
        )


def _target(labels: _Labels, size: tuple[int, int], mirrored: bool) -> Target:
    height, width = labels.image_size
    scale = torch.tensor([size[1] / width, size[0] / height] * 2)
    boxes = labels.boxes * scale
    if mirrored:
        boxes = mirror_boxes(boxes, size[1])
    masks = None
    if labels.masks is not None:
        back = (labels.factor * width / size[1], labels.factor * height / size[0])
        masks = ViewMasks(labels.masks, back, size[1] if mirrored else None)
    return Target(boxes, labels.classes, masks, labels.known)


def weights_digest(frozen: FrozenPart) -> str:
    """A digest of the frozen stages' values: what was kept for others is of no use."""
    sha256 = hashlib.sha256()
    for name, tensor in frozen.model.backbone.trunk.state_dict().items():
        if int(name.split(".")[0].removeprefix("trunk")) < frozen.count:
            sha256.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()
