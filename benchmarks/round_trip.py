"""Labelled objects made regions as predictions are, and read back: how many come back as they were, and how fast.

    python benchmarks/round_trip.py --coco annotations.json images/ [--coco ...] [--images 40]

The regions are those of RectangleLabels and BrushLabels: one rectangle and one mask per object. With scores, as
prelabel writes them, and without, as if people had drawn both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from rich.console import Console
from rich.table import Table

from fbnetv3.data.coco import CocoExamples, read_coco
from fbnetv3.data.examples import Example
from fbnetv3.instances import Instances
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledObject
from prelabel.labelstudio.regions.predictions import to_regions

TOLERANCE_PX = 0.002
"""Percentages have four decimals: 0.0005 pixels in an image 1,000 pixels wide."""


def config(labels: Sequence[str]) -> str:
    """A labelling config with boxes and masks."""
    rows = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    controls = "".join(
        f'<{tag} name="{tag}" toName="image">{rows}</{tag}>' for tag in ("RectangleLabels", "BrushLabels")
    )
    return f'<View><Image name="image" value="$image"/>{controls}</View>'


def detected(example: Example, labels: tuple[str, ...]) -> Instances:
    """The objects with masks as a perfect detector reports them, each with a score of its own."""
    height, width = example.image.shape[:2]
    masks = example.masks or ()
    keep = [index for index, mask in enumerate(masks) if mask.area]
    boxes = np.clip(example.boxes[keep], 0, [width, height] * 2)
    scores = np.linspace(0.99, 0.31, len(keep)).astype(np.float32)
    chosen = tuple(masks[index] for index in keep)
    return Instances((height, width), boxes, scores, example.classes[keep], labels, chosen)


def same(found: Sequence[LabelledObject], expected: Instances) -> bool:
    """Whether all objects of an image are what they were."""
    return len(found) == len(expected) and all(
        one.label == label
        and one.mask is not None
        and np.array_equal(one.mask.full(expected.image_size), mask.full(expected.image_size))
        and np.allclose(one.box, box, atol=TOLERANCE_PX)
        for one, label, box, mask in zip(
            found, expected.labels, expected.boxes, expected.masks or (), strict=True
        )
    )


def measure(examples: CocoExamples, count: int, with_scores: bool) -> tuple[int, int, int, int, float]:
    """Images, objects, objects read back, images whose objects are all the same, seconds of reading."""
    xml = config(examples.labels)
    controls, spec = ObjectControls.from_config(xml), LabelSpec.from_config(xml, examples.labels, 0.0)
    objects = back = unchanged = 0
    seconds = 0.0
    for instances in _instances(examples, count):
        regions = json.loads(json.dumps(to_regions(instances, spec.controls)))
        if not with_scores:
            regions = [region | {"score": None} for region in regions]
        started = time.perf_counter()
        found = to_objects(regions, controls, "image", instances.image_size).objects
        seconds += time.perf_counter() - started
        objects, back = objects + len(instances), back + len(found)
        unchanged += same(found, instances)
    return min(count, len(examples)), objects, back, unchanged, seconds


def _instances(examples: CocoExamples, count: int) -> Iterator[Instances]:
    for index in range(min(count, len(examples))):
        yield detected(examples[index], examples.labels)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--coco", nargs=2, action="append", required=True, metavar=("ANNOTATIONS", "IMAGES"), type=Path
    )
    parser.add_argument("--images", type=int, default=40, help="of each data set, at most")
    options = parser.parse_args()
    table = Table("data", "scores", "images", "objects", "read back", "images unchanged", "ms per image")
    for file, images in options.coco:
        examples = CocoExamples(read_coco(file), images)
        for with_scores in (True, False):
            count, *numbers, seconds = measure(examples, options.images, with_scores)
            scores = "yes" if with_scores else "no"
            figures = [str(number) for number in (count, *numbers)]
            table.add_row(file.parent.name, scores, *figures, f"{1000 * seconds / count:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
