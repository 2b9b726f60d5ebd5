"""What an operating point chosen on a few images saves a person on others, beside one threshold for every label.

    python benchmarks/operating_point.py ANNOTATIONS IMAGES WEIGHTS [--trained 10] [--draws 20] [--boxes-only]

The data is split as `prelabel simulate` splits it. Of the pool, in the order shuffle(len(pool), 0), the first
`--trained` images are left out, as the weights have seen them; the point is chosen on draws of the next 25. One row:
seconds of a person on the first 50 images for the figures, as a share of drawing all, at 0.3, at the point chosen on 3,
5, 10 and 20 images (means over the draws), and at the best threshold of each label for these very images.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fbnetv3 import Detector
from fbnetv3.active_learning.ranking import shuffle
from fbnetv3.finetuning.start import spelled_as
from fbnetv3.judging import (
    SCORE_THRESHOLD,
    Effort,
    ImageFindings,
    findings_of,
    operating_point,
    seconds_with,
    seconds_without,
)
from fbnetv3.judging.operating_point import Curves
from fbnetv3.simulation import read_replay_data
from fbnetv3.weights import load_checkpoint

IMAGES = (3, 5, 10, 20)
CHOSEN_ON = 25
JUDGED_ON = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--trained", type=int, default=0)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--boxes-only", action="store_true")
    arguments = parser.parse_args()
    data = read_replay_data(arguments.annotations, arguments.images)
    checkpoint = spelled_as(data.labels, load_checkpoint(arguments.weights))
    detector = Detector.load(checkpoint, engine="torch", threads=1)
    pool = [data.pool[i] for i in shuffle(len(data.pool), 0)][arguments.trained :][:CHOSEN_ON]
    chosen_on, figures = (
        findings_of(detector, data.of(ids), boxes_only=arguments.boxes_only)
        for ids in (pool, data.figures[:JUDGED_ON])
    )
    shares = row(chosen_on, figures, data.labels, arguments.draws)
    print(f"{Path(arguments.weights).stem} " + " ".join(f"{share:.3f}" for share in shares))


def row(
    chosen_on: Sequence[ImageFindings], figures: Sequence[ImageFindings], labels: Sequence[str], draws: int
) -> list[float]:
    """The shares at SCORE_THRESHOLD, at points chosen on IMAGES, and at the best thresholds for these images."""
    rng = np.random.default_rng(0)
    shares = [share(figures, dict.fromkeys(labels, SCORE_THRESHOLD))]
    for count in IMAGES:
        drawn = [rng.permutation(len(chosen_on))[:count] for _ in range(draws)]
        points = [
            operating_point([chosen_on[i] for i in indices], labels, Effort(), SCORE_THRESHOLD)
            for indices in drawn
        ]
        shares.append(float(np.mean([share(figures, point) for point in points])))
    curves = Curves.of([one.of_label for one in figures], labels, Effort(), SCORE_THRESHOLD)
    return [*shares, float(curves.seconds.sum(0).min(1).sum() / curves.without.sum())]


def share(figures: Sequence[ImageFindings], thresholds: dict[str, float]) -> float:
    """Seconds with the regions from these thresholds on, of those without any."""
    outcomes = [image.outcome(thresholds) for image in figures]
    return seconds_with(outcomes) / seconds_without(outcomes)


if __name__ == "__main__":
    main()
