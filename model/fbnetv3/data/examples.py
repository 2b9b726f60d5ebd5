"""Labelled images: what training and evaluation read, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fbnetv3.arrays import Array
from fbnetv3.instances import BoxMask
from fbnetv3.scenes import SCENE_LABELS, generate_scene


@dataclass(frozen=True, eq=False)
class Example:
    """One image with its n labelled objects.

    `image` (H, W, 3) uint8 RGB; `boxes` (n, 4) float32 x0, y0, x1, y1 in pixels; `classes` (n,) int64;
    `masks`: n masks, an empty one where an object's mask is not known; None where only boxes are known.
    """

    image: Array
    boxes: Array
    classes: Array
    masks: tuple[BoxMask, ...] | None


class Examples(Protocol):
    """A data set: so many examples, and the labels that their classes index."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


@dataclass(frozen=True)
class SceneExamples:
    """Generated scenes number `first` to `first + count - 1`, drawn again whenever they are asked for."""

    first: int
    count: int
    size: tuple[int, int] = (240, 320)
    labels: tuple[str, ...] = SCENE_LABELS

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        seed = self.first + index
        scene = generate_scene(seed, self.size if seed % 2 else self.size[::-1])
        return Example(scene.image, scene.boxes, scene.classes, scene.masks)


@dataclass(frozen=True)
class ChosenExamples:
    """Some of a data set's examples, by their `places` in it."""

    examples: Examples
    places: Sequence[int]

    @property
    def labels(self) -> tuple[str, ...]:
        """The data set's labels."""
        return self.examples.labels

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Example:
        return self.examples[self.places[index]]


@dataclass(frozen=True)
class JoinedExamples:
    """Several data sets one after the other. Their classes must mean the same, or not matter."""

    parts: Sequence[Examples]

    @property
    def labels(self) -> tuple[str, ...]:
        """The first data set's labels."""
        return self.parts[0].labels

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Example:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)
