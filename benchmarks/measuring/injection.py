"""Errors put into clean labels at a known rate: objects dropped, labels swapped, boxes shifted, objects added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fbnetv3.data.examples import Example, Examples
from fbnetv3.instances import BoxMask
from fbnetv3.overlap import box_iou
from fbnetv3.review import IssueKind

Error = Literal["drop", "swap", "shift", "add"]

#: What each error looks like to the person who reviews the labels.
KIND_OF: dict[Error, IssueKind] = {
    "drop": "overlooked",
    "swap": "swapped_label",
    "shift": "badly_placed",
    "add": "spurious",
}

SHIFTED_IOU = (0.4, 0.7)
"""Of a shifted box with its object's: less would be another place, more what careful people differ by."""

SHIFT, STRETCH = 0.5, 0.35
"""The largest move as a share of the box's side, and the largest change of a side."""

FREE_IOU = 0.1
"""An added box overlaps no true object by more."""

TRIES = 200


@dataclass(frozen=True, eq=False)
class Injected:
    """One error. `object`: the index of the wrong label in its image, None of a dropped one; `box` (4,) and
    `label`: what was there, or what was added."""

    error: Error
    image: int
    object: int | None
    box: np.ndarray
    label: str


@dataclass(frozen=True, eq=False)
class Spoilt:
    """A data set with errors in its labels. `errors`: all of them."""

    labels: tuple[str, ...]
    examples: tuple[Example, ...]
    errors: tuple[Injected, ...]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


def spoil(examples: Examples, rate: float, seed: int) -> Spoilt:
    """`rate` (0..1) of the objects each dropped, swapped and shifted, and as many added; no object has two errors.

    Sets of one label have no swaps. The same arguments give the same errors.
    """
    rng = np.random.default_rng(seed)
    clean = [examples[index] for index in range(len(examples))]
    places = [(image, one) for image, example in enumerate(clean) for one in range(len(example.boxes))]
    count = max(round(rate * len(places)), 1)
    kinds: list[Error] = ["drop", "shift"] + (["swap"] if len(examples.labels) > 1 else [])
    drawn = [places[place] for place in rng.permutation(len(places))[: count * len(kinds)]]
    fate = {place: kinds[number % len(kinds)] for number, place in enumerate(drawn)}
    added = rng.choice(len(clean), count).tolist()
    spoilt, errors = [], []
    for image, example in enumerate(clean):
        fates = {one: fate[image, one] for one in range(len(example.boxes)) if (image, one) in fate}
        editor = _Editor(example, image, examples.labels, rng)
        editor.edit(fates, added.count(image), clean)
        spoilt.append(editor.example())
        errors += editor.errors
    return Spoilt(examples.labels, tuple(spoilt), tuple(errors))


class _Editor:
    """One image's labels while errors are put into them."""

    def __init__(
        self, example: Example, image: int, labels: tuple[str, ...], rng: np.random.Generator
    ) -> None:
        self._clean, self._image, self._labels, self._rng = example, image, labels, rng
        self._objects: list[tuple[np.ndarray, int, BoxMask | None]] = []
        self.errors: list[Injected] = []

    def edit(self, fates: dict[int, Error], added: int, everything: list[Example]) -> None:
        """Objects have these errors, by index; so many are added, which look like some of `everything`."""
        for one, (box, class_) in enumerate(
            zip(self._clean.boxes, self._clean.classes.tolist(), strict=True)
        ):
            mask = self._clean.masks[one] if self._clean.masks is not None else None
            match fates.get(one):
                case "drop":
                    self._note("drop", None, box, class_)
                case "swap":
                    self._note("swap", len(self._objects), box, class_)
                    other = (class_ + int(self._rng.integers(1, len(self._labels)))) % len(self._labels)
                    self._objects.append((box, other, mask))
                case "shift" if (moved := self._shifted(box)) is not None:
                    self._note("shift", len(self._objects), box, class_)
                    self._objects.append((moved, class_, stretched(mask, box, moved, self._size)))
                case _:
                    self._objects.append((box, class_, mask))
        for _ in range(added):
            self._add(everything)

    def example(self) -> Example:
        """The labels with their errors."""
        boxes = np.array([box for box, _, _ in self._objects], np.float32).reshape(-1, 4)
        classes = np.array([class_ for _, class_, _ in self._objects], np.int64)
        masks = None
        if self._clean.masks is not None:
            masks = tuple(mask for _, _, mask in self._objects if mask is not None)
        return Example(self._clean.image, boxes, classes, masks)

    @property
    def _size(self) -> tuple[int, int]:
        return self._clean.image.shape[0], self._clean.image.shape[1]

    def _note(self, error: Error, place: int | None, box: np.ndarray, class_: int) -> None:
        self.errors.append(Injected(error, self._image, place, box, self._labels[class_]))

    def _shifted(self, box: np.ndarray) -> np.ndarray | None:
        """None where the image leaves no room for it."""
        height, width = self._size
        sides = np.tile(box[2:] - box[:2], 2)
        for _ in range(TRIES):
            move = np.tile(self._rng.uniform(-SHIFT, SHIFT, 2), 2)
            grow = self._rng.uniform(-STRETCH, STRETCH, 2) / 2
            moved = box + (move + np.concatenate([-grow, grow])) * sides
            moved = moved.clip(0, [width, height, width, height]).astype(np.float32)
            if SHIFTED_IOU[0] <= box_iou(box[None], moved[None])[0, 0] <= SHIFTED_IOU[1]:
                return moved
        return None

    def _add(self, everything: list[Example]) -> None:
        """A box of some object's size, with its label and mask, where no object is; nothing where there is no room."""
        donors = [example for example in everything if len(example.boxes)]
        height, width = self._size
        for _ in range(TRIES):
            donor = donors[int(self._rng.integers(len(donors)))]
            one = int(self._rng.integers(len(donor.boxes)))
            sides = donor.boxes[one, 2:] - donor.boxes[one, :2]
            room = np.array([width, height]) - sides
            if (room <= 0).any():
                continue
            corner = self._rng.uniform(0, room)
            box = np.concatenate([corner, corner + sides]).astype(np.float32)
            if box_iou(box[None], self._clean.boxes).max(initial=0.0) > FREE_IOU:
                continue
            mask = donor.masks[one] if donor.masks is not None else None
            moved = stretched(mask, donor.boxes[one], box, self._size)
            self._note("add", len(self._objects), box, int(donor.classes[one]))
            self._objects.append((box, int(donor.classes[one]), moved))
            return


def stretched(
    mask: BoxMask | None, old: np.ndarray, new: np.ndarray, size: tuple[int, int]
) -> BoxMask | None:
    """The mask moved along with its box (4,), from `old` to `new`, in an image of `size` (height, width)."""
    if mask is None or not mask.area:
        return mask
    scale = (new[2:] - new[:2]) / (old[2:] - old[:2])
    x, y = new[:2] + (np.array([mask.x, mask.y]) - old[:2]) * scale
    width, height = np.maximum(np.round(np.array(mask.bitmap.shape[::-1]) * scale), 1).astype(int)
    bitmap = cv2.resize(
        mask.bitmap.astype(np.uint8), (int(width), int(height)), interpolation=cv2.INTER_NEAREST
    )
    left, top = max(round(float(x)), 0), max(round(float(y)), 0)
    bitmap = bitmap[: size[0] - top, : size[1] - left].astype(bool)
    return BoxMask(left, top, bitmap)
