"""The weights of fbnetv3/prompts/explanation.py: fitted to labelled objects, so that the best mask comes first.

    python benchmarks/click_weights.py --weights coco starter --data FOLDER...

A FOLDER holds annotations.json (COCO's format, with masks) and images/. For every object one click, three clicks, and
two with one beside the object; of the candidates of each the probability (softmax of the linear score) is moved to
those that overlap the object most, by gradient descent on the expected IoU. Printed are the weights fitted to all of
the data, and for each FOLDER the mean IoU with weights that were fitted to the others alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measuring.prompts import LabelledObject, click_beside, clicks, examples, labelled_images

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.pasting import paste_mask
from fbnetv3.prompts.candidates import candidates_at
from fbnetv3.prompts.scoring import WEIGHTS, measurements

NAMES = ("fit", "log score", "off centre", "stability", "contrast")
SCORE_ALONE = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
STEPS, LEARNING_RATE = 400, 0.05


class Choice(NamedTuple):
    """What there was to choose from for one prompt: measurements (n, 5) and IoU with the object (n,)."""

    measured: np.ndarray
    iou: np.ndarray


def choices(detector: Detector, folder: Path, objects: int) -> Iterator[Choice]:
    """For objects of one data set."""
    random = np.random.default_rng(0)
    for image, some in labelled_images(examples(folder), objects, random):
        features = detector.set_image(image)
        for one in some:
            for points, positive in _prompts(one, random):
                choice = _choice(detector, features, one, points, positive)
                if len(choice.iou):
                    yield choice


def fit(found: list[Choice]) -> np.ndarray:
    """The weights (5,), of measurements as they are."""
    spread = np.concatenate([one.measured for one in found]).std(0)
    weights = torch.zeros(len(NAMES), requires_grad=True)
    optimiser = torch.optim.Adam([weights], LEARNING_RATE)
    tensors = [(torch.tensor(one.measured / spread).float(), torch.tensor(one.iou).float()) for one in found]
    longest = max(len(iou) for _, iou in tensors)
    measured = torch.stack([torch.nn.functional.pad(m, (0, 0, 0, longest - len(m))) for m, _ in tensors])
    iou = torch.stack(
        [torch.nn.functional.pad(i, (0, longest - len(i)), value=torch.nan) for _, i in tensors]
    )
    for _ in range(STEPS):
        scores = (measured @ weights).masked_fill(iou.isnan(), -torch.inf)
        loss = -(scores.softmax(1) * iou.nan_to_num()).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return weights.detach().numpy() / spread


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=["starter"])
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=100, help="of each data set")
    arguments = parser.parse_args()
    detectors = [Detector.load(weights) for weights in arguments.weights]
    found = {
        folder.name: [one for detector in detectors for one in choices(detector, folder, arguments.objects)]
        for folder in arguments.data
    }
    print(f"in use: {_named(WEIGHTS)}")
    print(f"fitted: {_named(fit([one for some in found.values() for one in some]))}")
    for name, some in found.items():
        others = [one for other, theirs in found.items() if other != name for one in theirs]
        reached = {"in use": WEIGHTS, "fitted to the others": fit(others)} if others else {"in use": WEIGHTS}
        figures = ", ".join(f"{how} {_reached(some, weights):.3f}" for how, weights in reached.items())
        best = np.mean([one.iou.max() for one in some])
        print(
            f"{name}: mean IoU {figures}, by the score alone {_reached(some, SCORE_ALONE):.3f}, at best {best:.3f}"
        )


def _named(weights: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, weights.round(1).tolist(), strict=True))


def _reached(found: list[Choice], weights: np.ndarray) -> float:
    return float(np.mean([one.iou[(one.measured @ weights).argmax()] for one in found]))


def _prompts(one: LabelledObject, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    three = clicks(one, 3, random)
    yield three[:1], np.array([True])
    yield three, np.array([True] * 3)
    yield np.concatenate([three[:2], click_beside(one, random)]), np.array([True, True, False])


def _choice(
    detector: Detector, features: ImageFeatures, one: LabelledObject, points: np.ndarray, positive: np.ndarray
) -> Choice:
    known = (
        [detector.labels.index(one.label)] if one.label in detector.labels else range(len(detector.labels))
    )
    places = points / features.scale[:2]
    found = candidates_at(detector.engine, features.encoded, places[positive], list(known))
    size = features.image_size
    boxes = found.boxes * features.scale
    masks = [paste_mask(p, box, size, 0.5).full(size) for p, box in zip(found.masks, boxes, strict=True)]
    overlaps = [(mask & one.mask).sum() / max((mask | one.mask).sum(), 1) for mask in masks]
    return Choice(measurements(features.thumbnail, found, places, positive), np.array(overlaps))


if __name__ == "__main__":
    main()
