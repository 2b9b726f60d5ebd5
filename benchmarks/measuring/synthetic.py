"""Detectors made of dice: they know the labels of an image and get them wrong as often as they are told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fbnetv3.data.examples import Example
from fbnetv3.instances import BoxMask, Instances

SIZE = (96, 128)


@dataclass(frozen=True)
class Blocks:
    """Images with two to ten rectangular objects each; the image itself only carries its number."""

    count: int
    seed: int
    kinds: int = 3
    masks: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        """As many as there are kinds."""
        return tuple(f"kind {i}" for i in range(self.kinds))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        rng = np.random.default_rng((self.seed, index))
        objects = int(rng.integers(2, 11))
        corners = rng.integers(0, (96, 64), (objects, 2))
        boxes = np.concatenate([corners, corners + rng.integers(12, 32, (objects, 2))], 1).astype(np.float32)
        image = np.full((*SIZE, 3), index, np.uint8)
        masks = tuple(filled(box) for box in boxes) if self.masks else None
        return Example(image, boxes, rng.integers(0, self.kinds, objects), masks)


@dataclass(frozen=True)
class Skill:
    """`found`: probability that an object is found at all, less in a hard image. `spread`: standard deviation of a
    box's sides over its size. `alarms`: false alarms per image. `guesses`: labels by chance, as a network answers that
    was trained on shuffled ones: every label scores about 1 / kinds everywhere."""

    found: float
    spread: float
    alarms: float
    guesses: bool = False


@dataclass(frozen=True)
class DiceDetector:
    """Stands in for a Detector; two of them with different seeds err independently but for what is hard."""

    skill: Skill
    truth: Blocks
    seed: int
    has_masks: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        """The data set's."""
        return self.truth.labels

    def predict(
        self, images: Sequence[Any], score_threshold: float = 0.0, mask_threshold: float | None = None
    ) -> list[Instances]:
        """What it makes of each image."""
        return [self._see(int(image[0, 0, 0])) for image in images]

    def _see(self, index: int) -> Instances:
        example = self.truth[index]
        hardness = np.random.default_rng((self.truth.seed, index, 1)).normal(0, 0.15)
        rng = np.random.default_rng((self.seed, index))
        seen = rng.random(len(example.boxes)) < np.clip(self.skill.found - hardness, 0, 1)
        alarms = int(rng.poisson(self.skill.alarms))
        corners = rng.uniform(0, (96, 64), (alarms, 2))
        boxes = np.concatenate([example.boxes[seen], np.concatenate([corners, corners + 20], 1)])
        scores = np.concatenate([rng.uniform(0.4, 1, int(seen.sum())), rng.uniform(0.3, 0.8, alarms)])
        classes = np.concatenate([example.classes[seen], rng.integers(0, self.truth.kinds, alarms)])
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + rng.normal(0, self.skill.spread, boxes.shape) * sides
        if self.skill.guesses:
            boxes, scores, classes = self._guess(boxes, rng)
        order = np.argsort(-scores)
        boxes = boxes[order].astype(np.float32)
        masks = tuple(filled(box) for box in boxes) if self.has_masks else None
        return Instances(SIZE, boxes, scores[order].astype(np.float32), classes[order], self.labels, masks)

    def _guess(
        self, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kinds = self.truth.kinds
        scores = (1 / kinds + rng.normal(0, 0.08, (len(boxes), kinds))).clip(0.01, 1)
        return np.repeat(boxes, kinds, 0), scores.ravel(), np.tile(np.arange(kinds), len(boxes))


def filled(box: np.ndarray) -> BoxMask:
    """A box, cut to whole pixels of the image, as a mask."""
    x0, y0, x1, y1 = (int(side) for side in box.round().clip(0, np.tile(SIZE[::-1], 2)))
    return BoxMask(x0, y0, np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool))
