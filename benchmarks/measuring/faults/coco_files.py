"""Odd COCO files, and damaged zips of them: reading, a snapshot and an evaluation give a result or one sentence.

A file of which one label is odd is used all the same.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fbnetv3.data.coco import CocoError, CocoExamples, encode_mask
from fbnetv3.data.coco_files import CocoDataSet, read_data_set, unpacked
from fbnetv3.data.examples import SceneExamples
from fbnetv3.data.snapshot import SnapshotError, snapshot_of_coco
from fbnetv3.images import ImageError
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.judging.average_precision import evaluate
from measuring.faults.mutation import as_file, damaged, odd, written
from measuring.faults.trials import Broke, Subject, Trial

#: Training draws from the first million.
FIRST_SCENE = 6_100_000
IMAGES = 4
SIZE = (128, 160)
SPLITS = ("train", "train", "val", "test")
KNOWN = ("apple", "banana")
#: Shares: of the trials, of the others that are zips, of the zips that are damaged too.
ODD_LABELS, ZIPS, DAMAGED_ZIPS = 0.3, 0.25, 0.5


class CocoFiles(Subject):
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = _write(folder)

    def trial(self, number: int, dice: random.Random) -> Trial:
        """An odd file with the images beside it or in one zip with them, or one with a single odd label."""
        if dice.random() < ODD_LABELS:
            labels = list(self._data["annotations"])
            place = dice.randrange(len(labels))
            labels[place] = odd(dice, labels[place])
            content = as_file({**self._data, "annotations": labels})
            return self._trial("one odd label", "annotations.json", content, (CocoError,))
        content = written(dice, odd(dice, self._data))
        if dice.random() > ZIPS:
            return self._trial("an odd file", "annotations.json", content)
        content = _zipped(content, self._folder)
        content = damaged(dice, content) if dice.random() < DAMAGED_ZIPS else content
        return self._trial("an odd zip", "export.zip", content)

    def _trial(self, group: str, name: str, content: bytes, fatal: tuple[type[Exception], ...] = ()) -> Trial:
        """`fatal`: sentences that there is no reason for."""

        def attempt() -> str:
            (self._folder / name).write_bytes(content)
            try:
                return _read(self._folder / name, self._folder / "images")
            except (CocoError, SnapshotError, ImageError) as error:
                if isinstance(error, fatal) or not str(error) or "\n" in str(error):
                    raise Broke(f"{type(error).__name__}: {error}") from None
                return "refused"

        return Trial(group, {name: content}, attempt)


def _read(file: Path, images: Path) -> str:
    with unpacked(file, None if file.suffix == ".zip" else images) as files:
        return _use(read_data_set(files.annotations, files.images, name=files.name))


def _zipped(annotations: bytes, folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", annotations)
        for image in sorted((folder / "images").iterdir()):
            archive.write(image, f"images/{image.name}")
    return buffer.getvalue()


def _use(found: CocoDataSet) -> str:
    """As `train` and `evaluate` do; an error of theirs comes out."""
    snapshot = snapshot_of_coco(found)
    for examples in (snapshot.train, snapshot.holdout):
        _look(examples)
    if not snapshot.digest:
        raise Broke("no digest")
    files = [found.images / record["file_name"] for record in found.data["images"]]
    result = evaluate(_Stub(), found.data, files)  # type: ignore[arg-type]
    if not -1 <= result.box.AP <= 1:
        raise Broke(f"AP is {result.box.AP}")
    return "some left out" if found.left_out else "repaired" if found.repaired else "read"


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
    images = folder / "images"
    images.mkdir(exist_ok=True)
    data: dict[str, Any] = {
        "info": {"description": "a try"},
        "images": [],
        "annotations": [],
        "categories": names,
    }
    for number in range(IMAGES):
        example = scenes[number]
        height, width = example.image.shape[:2]
        Image.fromarray(example.image).save(images / f"{number}.png")
        record = {"id": number + 1, "file_name": f"{number}.png", "height": height, "width": width}
        data["images"].append(record | {"split": SPLITS[number]})
        for box, class_, mask in zip(
            example.boxes.tolist(), example.classes.tolist(), example.masks or (), strict=True
        ):
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
