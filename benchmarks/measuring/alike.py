"""One labelled object as a prompt, and how much every region that the network proposes in the image is like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fbnetv3.data.examples import Example, Examples
from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.overlap import box_iou

MEASUREMENTS = (
    "cosine",
    "whitened cosine",
    "exemplar LDA",
    "its rank in the image",
    "width",
    "height",
    "colour",
    "score",
    "place among the proposals",
    "neighbours",
)

#: Regions that overlap the prompt as much (IoU) are the prompt.
PROMPT = 0.3
#: What is added to the covariance of the vectors, as a share of its mean variance.
SHRINKAGE = 0.1
#: The same region twice, for "neighbours".
SAME = 0.5
#: Added to the spread of the colours (CIELAB, 0..255 each).
NOISE = 4.0


@dataclass(frozen=True, eq=False)
class Background:
    """What vectors are like in any photo: `mean` and `spread` (d,), and `whitening` (d, d), after which all vary alike
    (Hariharan et al., Discriminative Decorrelation for Clustering and Classification, ECCV 2012)."""

    mean: np.ndarray
    spread: np.ndarray
    whitening: np.ndarray


@dataclass(frozen=True, eq=False)
class Prompt:
    """n regions of the image apart from the prompt: `measured` (n, MEASUREMENTS), `boxes` (n, 4) in pixels, and
    `overlaps` (n, m), the IoU with each of the m other objects of the prompt's label."""

    measured: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray

    @property
    def others(self) -> int:
        """Objects that are still to be drawn."""
        return self.overlaps.shape[1]


def background(detector: Detector, photos: Examples, count: int) -> Background:
    """Of the regions of so many photos."""
    vectors = []
    for index in range(min(count, len(photos))):
        encoded = detector.set_image(photos[index].image).encoded
        vectors.append(detector.engine.describe(encoded, encoded.proposals).vectors)
    every = np.concatenate(vectors).astype(np.float64)
    variances, axes = np.linalg.eigh(np.cov(every.T))
    return Background(
        every.mean(0), every.std(0) + 1e-3, axes / np.sqrt(variances + SHRINKAGE * variances.mean())
    )


def prompts(detector: Detector, examples: Examples, usual: Background, seed: int = 0) -> Iterator[Prompt]:
    """One object of every label of every image."""
    random = np.random.default_rng(seed)
    for index in range(len(examples)):
        example = examples[index]
        if len(example.boxes):
            features = detector.set_image(example.image)
            for label in np.unique(example.classes).tolist():
                chosen, *others = random.permutation(np.flatnonzero(example.classes == label)).tolist()
                yield _prompt(detector, features, example, chosen, others, usual)


def _prompt(
    detector: Detector,
    features: ImageFeatures,
    example: Example,
    chosen: int,
    others: Sequence[int],
    usual: Background,
) -> Prompt:
    encoded, scale = features.encoded, features.scale
    drawn = example.boxes[chosen]
    regions = np.vstack([encoded.proposals, drawn / scale]).astype(np.float32)
    found = detector.engine.describe(encoded, regions)
    scores = found.scores[:-1].max(1)
    boxes = found.boxes[np.arange(len(scores)), found.scores[:-1].argmax(1)] * scale
    columns = [
        *_likeness(found.vectors[:-1], found.vectors[-1], usual),
        *np.abs(np.log(_sides(boxes) / _sides(drawn[None]))).T,
        _colours_apart(features, boxes, drawn),
        np.log(scores + 1e-3),
        np.arange(len(scores)) / len(scores),
        (box_iou(boxes, boxes) >= SAME).sum(1),
    ]
    apart = box_iou(boxes, drawn[None])[:, 0] < PROMPT
    overlaps = box_iou(boxes, example.boxes[others])
    return Prompt(np.stack(columns, 1)[apart], boxes[apart], overlaps[apart])


def _likeness(vectors: np.ndarray, own: np.ndarray, usual: Background) -> Iterator[np.ndarray]:
    """The first four of MEASUREMENTS; those after the first beside the mean of this image's regions."""
    yield _cosine((vectors - usual.mean) / usual.spread, (own - usual.mean) / usual.spread)
    here = vectors.mean(0)
    white, white_own = (vectors - here) @ usual.whitening, (own - here) @ usual.whitening
    yield _cosine(white, white_own)
    exemplar = white @ white_own / (white_own @ white_own)
    yield exemplar
    yield exemplar.argsort().argsort() / len(exemplar)


def _cosine(vectors: np.ndarray, own: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = vectors @ own / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(own) + 1e-9)
    return cosines


def _sides(boxes: np.ndarray) -> np.ndarray:
    """(n, 2) width and height, at least a pixel."""
    sides: np.ndarray = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    return sides


def _colours_apart(features: ImageFeatures, boxes: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(n,) the distance of the mean colours in the middle of the boxes, in units of their spread in the image."""
    height, width = features.encoded.size
    sums = cv2.integral(features.thumbnail.astype(np.float32), sdepth=cv2.CV_64F)
    every = np.vstack([boxes, drawn]) / features.scale
    middle, half = (every[:, :2] + every[:, 2:]) / 2, 0.3 * _sides(every)
    x0, y0 = np.floor(middle - half).astype(int).clip(0, (width - 1, height - 1)).T
    x1, y1 = np.ceil(middle + half).astype(int).clip(0, (width, height)).T
    x1, y1 = np.maximum(x1, x0 + 1), np.maximum(y1, y0 + 1)
    total = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    means = total / ((x1 - x0) * (y1 - y0))[:, None]
    distances: np.ndarray = np.linalg.norm((means[:-1] - means[-1]) / (means.std(0) + NOISE), axis=1)
    return distances
