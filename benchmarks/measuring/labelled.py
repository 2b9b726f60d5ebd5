"""Drawn scenes as a labelled data set in COCO's format, so that benchmarks of learning need nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from fbnetv3.data.coco import add_example, empty_coco
from fbnetv3.data.examples import SceneExamples

#: Neither training of the starter nor other benchmarks draw these.
FIRST_SCENE = 5_000_000
SIZE = (480, 640)


def write_scenes(
    folder: Path, train: int, holdout: int, split: str = "holdout", size: tuple[int, int] = SIZE
) -> tuple[Path, Path]:
    """So many scenes of each kind; `split`: what the second kind is called; `size`: (height, width)
    or the other way round. The annotation file and the images.

    The labels are nobody's: the starter weights, which know scenes, have to learn them.
    """
    examples = SceneExamples(FIRST_SCENE, train + holdout, size)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = empty_coco([f"kind {number}" for number, _ in enumerate(examples.labels)])
    for number in range(len(examples)):
        example = examples[number]
        name = f"{number}.jpg"
        Image.fromarray(example.image).save(images / name, quality=90)
        add_example(data, example)
        data["images"][-1] |= {"file_name": name, "split": "train" if number < train else split}
    file = folder / "annotations.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file, images
