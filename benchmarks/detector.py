"""Time per image of the detector: the zoo's input size against prelabel's default and a larger one.

    python benchmarks/detector.py [--weights NAME_OR_FILE] [--engine auto|onnxruntime|torch] [--images N] [--rounds N]

Uses generated scenes, so it needs nothing. The variants take turns in every round, and each ratio is the median over
the rounds of this variant's time over the first one's in the same round: the machine's mood cancels out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from fbnetv3.detector import Detector
from fbnetv3.scenes import generate_scene

VARIANTS = {
    "224/320, 30 proposals (the zoo's)": {"min_size": 224, "max_size": 320, "post_nms_proposals_test": 30},
    "320/480, 100 proposals (default)": {"min_size": 320, "max_size": 480, "post_nms_proposals_test": 100},
    "480/800, 100 proposals": {"min_size": 480, "max_size": 800, "post_nms_proposals_test": 100},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--engine", default="auto", choices=("auto", "onnxruntime", "torch"))
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    images = [generate_scene(2_000_000 + i).image for i in range(arguments.images)]
    runs: dict[str, Callable[[], object]] = {}
    for name, settings in VARIANTS.items():
        detector = Detector.load(arguments.weights, engine=arguments.engine, **settings)
        runs[name] = lambda detector=detector: [detector.predict([image]) for image in images]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(arguments.rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append(1000 * (time.perf_counter() - started) / len(images))
    first = next(iter(times.values()))
    for name, values in times.items():
        ratios = [value / reference for value, reference in zip(values, first, strict=True)]
        print(
            f"{name:36} {statistics.median(values):7.1f} ms per image, ratio {statistics.median(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
