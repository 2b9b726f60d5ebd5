"""Odd COCO files: reading, a snapshot and an evaluation give a result or one sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fbnetv3.images import ImageError
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.learning.coco import CocoError, CocoExamples, encode_mask, read_coco
from fbnetv3.learning.evaluation import evaluate
from fbnetv3.learning.examples import SceneExamples
from fbnetv3.learning.snapshot import SnapshotError, snapshot_of_coco
from measuring.faults.mutation import odd, written
from measuring.faults.trials import Broke, Trial

#: Training draws from the first million.
FIRST_SCENE = 6_100_000
IMAGES = 4
SIZE = (128, 160)
SPLITS = ("train", "train", "val", "test")
KNOWN = ("apple", "banana")


class CocoFiles:
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = _write(folder)

    def trial(self, dice: random.Random) -> Trial:
        """One odd file, with the images beside it."""
        content = written(dice, odd(dice, self._data))
        file = self._folder / "annotations.json"

        def attempt() -> str:
            file.write_bytes(content)
            try:
                return _use(file, self._folder)
            except (CocoError, SnapshotError, ImageError) as error:
                if not str(error) or "\n" in str(error):
                    raise Broke(f"not one sentence: {str(error)!r}") from None
                return "refused"

        return Trial("COCO", {"annotations.json": content}, attempt)


def _use(file: Path, images: Path) -> str:
    """As `train` and `evaluate` do; an error of theirs comes out."""
    snapshot = snapshot_of_coco(file, images)
    for examples in (snapshot.train, snapshot.holdout):
        _look(examples)
    assert snapshot.digest
    truth = read_coco(file)
    found = evaluate(_Stub(), truth, [images / record["file_name"] for record in truth["images"]])  # type: ignore[arg-type]
    if not -1 <= found.box.AP <= 1:
        raise Broke(f"AP is {found.box.AP}")
    return "read"


def _look(examples: CocoExamples) -> None:
    """Every label is inside of reason: finite, of a class, its mask in the image."""
    for number in range(len(examples)):
        example = examples[number]
        if not np.isfinite(example.boxes).all():
            raise Broke(f"boxes {example.boxes.tolist()}")
        if not (example.classes < len(examples.labels)).all():
            raise Broke(f"classes {example.classes.tolist()} of {len(examples.labels)}")
        for mask in example.masks or ():
            height, width = mask.bitmap.shape
            if mask.y + height > example.image.shape[0] or mask.x + width > example.image.shape[1]:
                raise Broke(f"a mask of {height} x {width} at {mask.x}, {mask.y}")


class _Stub:
    """A detector that finds one object in every image."""

    labels = KNOWN
    has_masks = True

    def predict(self, images: Sequence[Any], **_: Any) -> list[Instances]:
        mask = BoxMask(2, 2, np.ones((20, 20), bool))
        one = np.ones(1, np.float32)
        box = np.array([[2, 2, 22, 22]], np.float32)
        return [Instances(SIZE, box, one, np.zeros(1, np.int64), KNOWN, (mask,)) for _ in images]


def _write(folder: Path) -> dict[str, Any]:
    """Images, and labels of them in each of COCO's forms."""
    scenes = SceneExamples(FIRST_SCENE, IMAGES, SIZE)
    names = [{"id": number + 1, "name": name} for number, name in enumerate(scenes.labels)]
    data: dict[str, Any] = {"info": {"description": "a try"}, "images": [], "annotations": [], "categories": names}
    for number in range(IMAGES):
        example = scenes[number]
        height, width = example.image.shape[:2]
        Image.fromarray(example.image).save(folder / f"{number}.png")
        record = {"id": number + 1, "file_name": f"{number}.png", "height": height, "width": width}
        data["images"].append(record | {"split": SPLITS[number]})
        for box, class_, mask in zip(example.boxes.tolist(), example.classes.tolist(), example.masks or (), strict=True):
            label = len(data["annotations"]) + 1
            x0, y0, x1, y1 = box
            data["annotations"].append(
                {
                    "id": label,
                    "image_id": number + 1,
                    "category_id": class_ + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                    "segmentation": _segmentation(label, box, mask, (height, width)),
                }
            )
    return json.loads(json.dumps(data))  # type: ignore[no-any-return]


def _segmentation(turn: int, box: list[float], mask: BoxMask, size: tuple[int, int]) -> Any:
    """Polygons, compressed and plain run lengths in turn."""
    x0, y0, x1, y1 = box
    if turn % 3 == 0:
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    if turn % 3 == 1:
        return encode_mask(mask, size)
    flat = mask.full(size).T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(size), "counts": [0, *runs] if flat[0] else runs}
