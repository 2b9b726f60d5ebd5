"""Whether one drawn object tells where the others of its kind are: regions proposed for the rest of the image.

    python benchmarks/alike.py --background FOLDER --data FOLDER ... [--images 40] [--proposals 300]

A FOLDER holds annotations.json (COCO's format) and images/. Of every label in an image one object is drawn, and the
base weights' regions of that image are scored by how alike they are: by one measurement or by all of them
(measuring/alike.py), with a logistic regression that is fitted to the other data sets, each counting the same, and
shown from the score on that saves most there. `--background`: photos that say how vectors vary anywhere. A region is
right if its IoU with another object of the label is 0.5 or more; seconds are those of fbnetv3.judging.Effort, boxes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measuring.alike import MEASUREMENTS, Prompt, background, prompts
from scipy.optimize import minimize

from fbnetv3.detector import Detector
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.outcomes import FOUND_BOX, GOOD_BOX
from fbnetv3.overlap import non_maximum_suppression
from fbnetv3.simulation import read_replay_data


class Way(NamedTuple):
    """The measurements that regions are scored by, the least number of regions that is shown, and the share of the
    seconds that the threshold may cost any set that it is chosen on."""

    names: Sequence[str]
    least: int = 1
    cost: float = np.inf


WAYS = {
    "cosine": Way(["cosine"]),
    "exemplar LDA": Way(["exemplar LDA"]),
    "LDA and size": Way(["exemplar LDA", "width", "height"]),
    "all": Way(MEASUREMENTS),
    "all, two or more": Way(MEASUREMENTS, least=2),
    "all, careful": Way(MEASUREMENTS, cost=0.01),
}
THRESHOLDS = np.arange(0.2, 0.96, 0.05)
#: Two regions that overlap as much (IoU) are not both shown, and no more than so many are.
OVERLAP, MOST = 0.3, 50
#: Of the penalty on the squares of the weights, beside a mean loss.
PENALTY = 1e-3
#: Standardised measurements beyond it tell no more.
FARTHEST = 5.0
#: Labels that have so many objects in an image are what the tool is for.
MANY = 3
BACKGROUND_PHOTOS = 60

Sets = dict[str, list[Prompt]]


@dataclass(frozen=True)
class Shown:
    """What a person found after one prompt: `right` regions, those of them as `good` as they need to be, and wrong
    ones; `objects`: of the label in the image, the prompt too."""

    right: int
    good: int
    wrong: int
    objects: int

    def saved(self, effort: Effort) -> float:
        """Seconds, negative where looking and deleting took longer than drawing."""
        keep, correct = effort.draw_box - effort.check, effort.draw_box - effort.correct_box
        return keep * self.good + correct * (self.right - self.good) - effort.delete * self.wrong


class Likeness:
    """The probability that a region shows another object of the kind, by some of the measurements."""

    def __init__(self, names: Sequence[str], sets: Sequence[list[Prompt]]) -> None:
        self._columns = [MEASUREMENTS.index(name) for name in names]
        every = [(prompt, 1 / len(some)) for some in sets for prompt in some]
        measured = np.concatenate([prompt.measured for prompt, _ in every])[:, self._columns]
        right = np.concatenate([_best(prompt) >= FOUND_BOX for prompt, _ in every])
        weights = np.concatenate([np.full(len(prompt.measured), share) for prompt, share in every])
        self._mean, self._spread = measured.mean(0), measured.std(0) + 1e-6
        inputs = self._standardised(measured)
        self._weights = _logistic(inputs, right, weights / weights.sum())

    def __call__(self, prompt: Prompt) -> np.ndarray:
        """(n,), 0..1."""
        probabilities: np.ndarray = 1 / (
            1 + np.exp(-self._standardised(prompt.measured[:, self._columns]) @ self._weights)
        )
        return probabilities

    def _standardised(self, measured: np.ndarray) -> np.ndarray:
        """With a column of ones."""
        scaled = ((measured - self._mean) / self._spread).clip(-FARTHEST, FARTHEST)
        return np.hstack([scaled, np.ones((len(scaled), 1))])


def _logistic(inputs: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weights (columns,) of the least weighted log loss with its penalty."""

    def loss(chosen: np.ndarray) -> tuple[float, np.ndarray]:
        logits = inputs @ chosen
        value = weights @ (np.logaddexp(0, logits) - right * logits) + PENALTY / 2 * chosen[:-1] @ chosen[:-1]
        gradient = inputs.T @ (weights * (1 / (1 + np.exp(-logits)) - right))
        gradient[:-1] += PENALTY * chosen[:-1]
        return float(value), gradient

    found: np.ndarray = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def shown(prompt: Prompt, probability: np.ndarray, least: int = 1) -> list[Shown]:
    """At every one of THRESHOLDS; nothing where fewer than `least` reach it."""
    likely = np.flatnonzero(probability >= THRESHOLDS[0])
    kept = likely[non_maximum_suppression(prompt.boxes[likely], probability[likely], OVERLAP, MOST)]
    right, good = _judged(prompt.overlaps[kept])
    counts = (probability[kept] >= THRESHOLDS[:, None]).sum(1)
    counts[counts < least] = 0
    return [
        Shown(int(right[:n].sum()), int(good[:n].sum()), int(n - right[:n].sum()), prompt.others + 1)
        for n in counts
    ]


def _judged(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool twice: whether a region, best first, is right and good, each object counting once."""
    found = np.zeros(len(overlaps))
    free = np.ones(overlaps.shape[1], bool)
    for region, each in enumerate(overlaps):
        left = each * free
        found[region] = left.max(initial=0.0)
        if found[region] >= FOUND_BOX:
            free[left.argmax()] = False
    return found >= FOUND_BOX, found >= GOOD_BOX


def held_out(sets: Sets, name: str, way: Way) -> list[Shown]:
    """One set, with what was fitted to the others and the threshold that saves most on them in the mean."""
    others = [some for other, some in sets.items() if other != name]
    likeness = Likeness(way.names, others)
    on_others = [[shown(prompt, likeness(prompt), way.least) for prompt in some] for some in others]
    saved = np.array([[share_saved(one) for one in zip(*some, strict=True)] for some in on_others])
    allowed = saved.min(0) >= -way.cost
    best = int(np.where(allowed, saved.mean(0), -np.inf).argmax())
    return [shown(prompt, likeness(prompt), way.least)[best] for prompt in sets[name]]


def share_saved(outcomes: Sequence[Shown]) -> float:
    """Of the seconds that drawing every object would take."""
    effort = Effort()
    objects = sum(one.objects for one in outcomes)
    return sum(one.saved(effort) for one in outcomes) / (effort.draw_box * max(objects, 1))


def row(name: str, words: str, outcomes: Sequence[Shown]) -> str:
    """A line of the table."""
    right, wrong = sum(one.right for one in outcomes), sum(one.wrong for one in outcomes)
    others = sum(one.objects - 1 for one in outcomes)
    many = [one for one in outcomes if one.objects >= MANY]
    alone = [one for one in outcomes if one.objects == 1]
    disturbed = sum(one.wrong > 0 for one in alone)
    return (
        f"| {name} | {words} | {right} of {others} | {wrong} | {disturbed} of {len(alone)} "
        f"| {share_saved(outcomes):+.1%} | {share_saved(many):+.1%} |"
    )


def best_of_all(some: Sequence[Prompt]) -> list[Shown]:
    """What was proposed at all: every object that some region shows, none wrong."""
    most = THRESHOLDS.searchsorted(FOUND_BOX)
    return [shown(prompt, _best(prompt))[most] for prompt in some]


def _best(prompt: Prompt) -> np.ndarray:
    best: np.ndarray = prompt.overlaps.max(1, initial=0.0)
    return best


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="coco")
    parser.add_argument("--background", type=Path, required=True)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--images", type=int, default=40, help="of each data set")
    parser.add_argument("--proposals", type=int, default=300, help="regions of an image")
    arguments = parser.parse_args()
    detector = Detector.load(
        arguments.weights, engine="torch", threads=1, post_nms_proposals_test=arguments.proposals
    )
    photos = read_replay_data(arguments.background / "annotations.json", arguments.background / "images")
    usual = background(detector, photos.of([*photos.figures, *photos.pool]), BACKGROUND_PHOTOS)
    sets: Sets = {}
    for folder in arguments.data:
        data = read_replay_data(folder / "annotations.json", folder / "images").without_masks()
        chosen = [*data.figures, *data.pool][: arguments.images]
        sets[folder.name] = [*prompts(detector, data.of(chosen), usual)]
    print("| data | by | found | wrong | wrong ones beside a single object | saved | of three and more |")
    print("|---|---|---|---|---|---|---|")
    for name, some in sets.items():
        print(row(name, "if all were known", best_of_all(some)), flush=True)
        for words, way in WAYS.items():
            print(row(name, words, held_out(sets, name, way)), flush=True)


if __name__ == "__main__":
    main()
