"""Objects with masks out of labelled data sets, and the prompts that a person might give for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from fbnetv3.data.coco import CocoExamples, of_split, read_coco
from fbnetv3.scenes import SCENE_LABELS, generate_scene

#: Smaller objects, in pixels, are not asked for: nobody clicks on them.
LEAST_AREA = 64
PER_IMAGE = 8
#: Scenes from here on were not trained on.
FIRST_SCENE = 10_000_000


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object: its label, its box (4,) in pixels and its mask (H, W) bool."""

    label: str
    box: np.ndarray
    mask: np.ndarray


def examples(folder: Path, split: str | None = None) -> CocoExamples:
    """A data set of the form `folder/annotations.json`, `folder/images/`; one split of it, or all."""
    data = read_coco(folder / "annotations.json")
    return CocoExamples(data if split is None else of_split(data, split), folder / "images")


def labelled_images(
    data: CocoExamples, objects: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, list[LabelledObject]]]:
    """Images in a random order with some of their objects, until there are so many."""
    asked = 0
    for index in random.permutation(len(data)):
        if asked >= objects:
            return
        example = data[int(index)]
        size = example.image.shape[:2]
        chosen = []
        for number in random.permutation(len(example.boxes))[:PER_IMAGE]:
            assert example.masks is not None
            if example.masks[number].area >= LEAST_AREA:
                mask = example.masks[number].full(size)
                label = data.labels[example.classes[number]]
                chosen.append(LabelledObject(label, example.boxes[number].astype(np.float64), mask))
        asked += len(chosen)
        if chosen:
            yield example.image, chosen


def drawn_objects(objects: int) -> Iterator[tuple[np.ndarray, list[LabelledObject]]]:
    """Generated scenes with their objects, until there are so many."""
    for seed in count(FIRST_SCENE):
        scene = generate_scene(seed)
        size = scene.image.shape[:2]
        chosen = [
            LabelledObject(SCENE_LABELS[index], box.astype(np.float64), mask.full(size))
            for index, box, mask in zip(scene.classes, scene.boxes, scene.masks, strict=True)
            if mask.area >= LEAST_AREA
        ]
        objects -= len(chosen)
        yield scene.image, chosen
        if objects <= 0:
            return


def jittered(one: LabelledObject, amount: float, random: np.random.Generator) -> np.ndarray:
    """Its box, each side off by up to `amount` of the box's width or height."""
    return _moved(one, random.uniform(-amount, amount, 4))


def loose(one: LabelledObject, amount: float, random: np.random.Generator) -> np.ndarray:
    """Its box, each side up to `amount` of the box's width or height too far outside."""
    return _moved(one, random.uniform(0, amount, 4) * (-1, -1, 1, 1))


def clicks(one: LabelledObject, number: int, random: np.random.Generator) -> np.ndarray:
    """Points (number, 2) on the object: the first near its middle, the others anywhere but at its edge."""
    depth = cv2.distanceTransform(np.pad(one.mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    first, others = depth >= 0.6 * depth.max(), depth >= 0.25 * depth.max()
    return np.concatenate([_points(first, 1, random), _points(others, number - 1, random)])


def click_beside(one: LabelledObject, random: np.random.Generator) -> np.ndarray:
    """A point (1, 2) just outside of the object, within a tenth of its size."""
    reach = max(2, int(0.1 * np.sqrt(one.mask.sum())))
    near = cv2.dilate(one.mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=reach).astype(bool)
    beside = near & ~one.mask
    return _points(beside if beside.any() else ~one.mask, 1, random)


def click_on_nothing(objects: list[LabelledObject], random: np.random.Generator) -> np.ndarray:
    """A point (1, 2) on none of these objects."""
    return _points(~np.any([one.mask for one in objects], axis=0), 1, random)


def _moved(one: LabelledObject, sides: np.ndarray) -> np.ndarray:
    height, width = one.mask.shape
    moved = one.box + sides * np.tile(one.box[2:] - one.box[:2], 2)
    return moved.clip(0, [width, height] * 2)


def _points(where: np.ndarray, number: int, random: np.random.Generator) -> np.ndarray:
    rows, columns = np.nonzero(where)
    chosen = random.integers(len(rows), size=number)
    return np.stack([columns[chosen], rows[chosen]], 1) + 0.5
