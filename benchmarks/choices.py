"""Whole-image choices learnt from few labels: accuracy, what suggestions are worth, and seconds.

    python benchmarks/choices.py [--weights starter coco] [--single ANN ...] [--multiple ANN [ANN] ...] [--poolings]

ANN is a COCO file with `images` beside it, whose objects become choices. `--single`: the one category of the objects
of an image; images with several are left out. `--multiple`: which of the six most usual categories are in an image,
those in more than nine of ten images left out. Labels are drawn from the images of a file and tested on its other
images, or on those of a second file. Without data: generated scenes.

Every figure is a mean over the seeds. `accuracy` is of the likeliest answer, shown or not; `usual` is what always
answering the commonest label of those drawn comes to; of a multiple choice, figures count its single yes-or-nos.
`shown`: the share of answers with a probability of 0.5 or more (multiple: of all), `right`: how many of those are
right, `sure`: the probability that they say they have. `--poolings` compares ways of making one vector of the feature
maps instead, by accuracy and log loss per image with the most labels.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from measuring.labelled import write_scenes

from fbnetv3.classification.fitting import fit_head
from fbnetv3.classification.linear_head import pool, pool_images
from fbnetv3.classification.suggestions import SUGGESTION_THRESHOLD
from fbnetv3.data.coco import CocoExamples, read_coco
from fbnetv3.data.image_labels import HeadSpec, truth_of
from fbnetv3.detector import Detector

LABELS = (5, 10, 20, 50)
MOST_CLASSES = 6
TOO_USUAL = 0.9
#: Fewer images to test on say nothing.
LEAST_TESTED = 10

Pooling = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def joined(*statistics: Callable[..., np.ndarray]) -> Pooling:
    """Statistics of every channel, as they are."""
    return lambda maps: np.concatenate([f(m, axis=(1, 2)) for m in maps.values() for f in statistics])


POOLINGS: dict[str, Pooling] = {
    "mean": joined(np.mean),
    "mean, largest": joined(np.mean, np.max),
    "mean, spread": joined(np.mean, np.std),
    "mean, spread, largest, smallest": joined(np.mean, np.std, np.max, np.min),
    "the same, each of length 1": pool,
}


@dataclass(frozen=True, eq=False)
class Subject:
    """Images with one choice: their files and (n, classes) bool what holds; `drawn`: those to learn from."""

    spec: HeadSpec
    paths: list[Path]
    truth: np.ndarray
    drawn: np.ndarray

    def splits(self, labels: int, seeds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(images to learn from, images to test on), for every seed."""
        for seed in range(seeds):
            chosen = np.random.default_rng(seed).permutation(np.flatnonzero(self.drawn))[:labels]
            others = np.flatnonzero(~self.drawn) if (~self.drawn).any() else np.arange(len(self.paths))
            yield chosen, np.setdiff1d(others, chosen)


@dataclass(frozen=True)
class Row:
    """Figures of one fit; see the top of this file."""

    accuracy: float
    usual: float
    shown: float
    right: float
    sure: float
    log_loss: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=["starter"])
    parser.add_argument("--single", type=Path, action="append", default=[])
    parser.add_argument("--multiple", type=Path, nargs="+", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--poolings", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subjects = [single(file) for file in arguments.single] + [multiple(*f) for f in arguments.multiple]
        if not subjects:
            subjects = [multiple(write_scenes(Path(folder) / "scenes", 60, 60)[0])]
        for weights in arguments.weights:
            table = compare_poolings if arguments.poolings else report
            table(Detector.load(weights), weights, subjects, arguments.seeds)


def report(detector: Detector, weights: str, subjects: list[Subject], seeds: int) -> None:
    """A table of one detector's figures."""
    print(
        "| weights | images | choice | labels | accuracy | usual | shown | right | sure | log loss | fit s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for subject in subjects:
        started = time.perf_counter()
        pooled = pool_images(detector, subject.paths)
        per_image = 1000 * (time.perf_counter() - started) / len(subject.paths)
        classes = len(subject.spec.classes)
        kind = f"{'any' if subject.spec.multi_label else 'one'} of {classes}"
        for labels in LABELS:
            row = mean_row(subject, pooled, labels, seeds)
            if row:
                figures = " | ".join(
                    "-" if np.isnan(value) else f"{value:.2f}" for value in vars(row).values()
                )
                print(f"| {weights} | {subject.spec.name} | {kind} | {labels} | {figures} |", flush=True)
        print(f"{subject.spec.name}: {per_image:.0f} ms per image for its features")


def compare_poolings(detector: Detector, weights: str, subjects: list[Subject], seeds: int) -> None:
    """Accuracy / log loss of each pooling."""
    print(f"| {weights}: accuracy / log loss | {' | '.join(subject.spec.name for subject in subjects)} |")
    print("|---" * (len(subjects) + 1) + "|")
    maps = [[detector.set_image(path).maps for path in subject.paths] for subject in subjects]
    for name, pooling in POOLINGS.items():
        cells = []
        for subject, seen in zip(subjects, maps, strict=True):
            row = mean_row(subject, np.array([pooling(one) for one in seen]), LABELS[-1], seeds)
            cells.append(f"{row.accuracy:.3f} / {row.log_loss:.3f}" if row else "-")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def mean_row(subject: Subject, pooled: np.ndarray, labels: int, seeds: int) -> Row | None:
    """The mean over the seeds; None where too few images are left to test on. No figure where no seed has one."""
    splits = [pair for pair in subject.splits(labels, seeds) if len(pair[1]) >= LEAST_TESTED]
    if not splits:
        return None
    rows = np.array([list(vars(fitted(subject, pooled, *pair)).values()) for pair in splits])
    return Row(*(float(v[~np.isnan(v)].mean()) if (~np.isnan(v)).any() else np.nan for v in rows.T))


def fitted(subject: Subject, pooled: np.ndarray, chosen: np.ndarray, tested: np.ndarray) -> Row:
    """Learn from some images, test on others."""
    started = time.perf_counter()
    head = fit_head(subject.spec, pooled[chosen], subject.truth[chosen])
    seconds = time.perf_counter() - started
    probabilities, truth = head.probabilities(pooled[tested]), subject.truth[tested]
    commonest = subject.truth[chosen].mean(0)
    if subject.spec.multi_label:
        right = (probabilities >= SUGGESTION_THRESHOLD) == truth
        usual = (commonest > 0.5) == truth
        shown, correct, sure = probabilities >= SUGGESTION_THRESHOLD, truth, probabilities
        likely = np.where(truth, probabilities, 1 - probabilities)
    else:
        best = probabilities.argmax(1)
        right = correct = truth[np.arange(len(truth)), best]
        usual, sure = truth[:, commonest.argmax()], probabilities.max(1)
        shown = sure >= SUGGESTION_THRESHOLD
        likely = np.where(truth, probabilities, 1)
    precision, said = (float(values[shown].mean()) if shown.any() else np.nan for values in (correct, sure))
    log_loss = float(-np.log(likely.clip(1e-9)).sum(1).mean())
    return Row(
        float(right.mean()), float(usual.mean()), float(shown.mean()), precision, said, log_loss, seconds
    )


def single(file: Path) -> Subject:
    """The one category of each image's objects."""
    images = {path: names for path, names in categories(file).items() if len(names) == 1}
    classes = tuple(sorted(set().union(*images.values())))
    truth = truth_of(list(images.values()), classes)
    return Subject(
        HeadSpec(file.parent.name, classes, False), list(images), truth, np.ones(len(images), bool)
    )


def multiple(file: Path, tested: Path | None = None) -> Subject:
    """Which categories are in an image."""
    drawn = categories(file)
    images = drawn | (categories(tested) if tested else {})
    counts = Counter(name for names in drawn.values() for name in names)
    usual = [name for name, count in counts.most_common() if count <= TOO_USUAL * len(drawn)]
    spec = HeadSpec(file.parent.name, tuple(usual[:MOST_CLASSES]), True)
    among = np.array([path in drawn for path in images])
    return Subject(spec, list(images), truth_of(list(images.values()), spec.classes), among)


def categories(file: Path) -> dict[Path, list[str]]:
    """Image file -> the names of the categories of its objects."""
    examples = CocoExamples(read_coco(file), file.parent / "images", with_empty=True)
    return {
        examples.images / record["file_name"]: sorted(
            {examples.labels[examples.categories[one["category_id"]]] for one in annotations}
        )
        for record, annotations in examples.records
    }


if __name__ == "__main__":
    main()
