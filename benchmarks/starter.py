"""AP of the starter weights on generated scenes that they have not seen, at several input sizes.

python benchmarks/starter.py [--weights NAME_OR_FILE] [--scenes N]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from fbnetv3.data.coco import to_coco
from fbnetv3.data.examples import SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.judging.average_precision import evaluate

#: Training draws from the first million.
FIRST_UNSEEN = 1_000_000
SIZES = ((192, 288), (256, 384), (320, 480))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--scenes", type=int, default=100)
    arguments = parser.parse_args()
    examples = SceneExamples(FIRST_UNSEEN, arguments.scenes, (480, 640))
    truth, images = to_coco(examples, range(len(examples)))
    for min_size, max_size in SIZES:
        detector = Detector.load(arguments.weights, min_size=min_size, max_size=max_size)
        result = evaluate(detector, truth, images)
        print(f"input {min_size}/{max_size}: box {result.box}")
        print(f"{'':13} mask {result.mask}")


if __name__ == "__main__":
    main()
