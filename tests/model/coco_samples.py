"""A small clean COCO data set on disk, and how well fixed predictions do on whatever is read from a changed one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fbnetv3.data.coco import encode_mask, read_mask, to_coco
from fbnetv3.data.coco_files import CocoDataSet, read_data_set
from fbnetv3.data.examples import SceneExamples
from fbnetv3.judging.average_precision import average_precision

Json = dict[str, Any]
Change = Callable[[Json], Any]
SIZE = (128, 160)
COUNT = 4


def write_images(folder: Path) -> None:
    for number in range(COUNT):
        Image.fromarray(SceneExamples(0, COUNT, SIZE)[number].image).save(folder / f"scene{number}.png")


def clean() -> Json:
    """Polygons alone, ids from 1 on."""
    data, _ = to_coco(SceneExamples(0, COUNT, SIZE), range(COUNT))
    for number, image in enumerate(data["images"]):
        image |= {"id": number + 1, "file_name": f"scene{number}.png"}
    for category in data["categories"]:
        category["id"] += 1
    for label in data["annotations"]:
        label["image_id"] += 1
        label["category_id"] += 1
        full = read_mask(label["segmentation"], tuple(label["segmentation"]["size"]))
        label["segmentation"] = [outline(full.bitmap, full.x, full.y)]
        points = np.reshape(label["segmentation"][0], (-1, 2))
        label["bbox"] = [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()]
        label["area"] = label["bbox"][2] * label["bbox"][3]
    return data


def outline(bitmap: np.ndarray, x: int, y: int) -> list[float]:
    contours, _ = cv2.findContours(bitmap.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea).reshape(-1, 2) + np.array([x, y])
    return [float(value) for value in largest.flatten()]


def as_rle(label: Json, size: tuple[int, int] = SIZE) -> Json:
    return encode_mask(read_mask(label["segmentation"], size), size)


def changed(change: Change) -> Json:
    data = copy.deepcopy(clean())
    return change(data) or data


def each(kind: str, change: Change) -> Change:
    """The same for every record of a kind."""

    def apply(data: Json) -> None:
        for record in data[kind]:
            change(record)

    return apply


def read(folder: Path, data: Any, images: Path | None = None, **options: Any) -> CocoDataSet:
    file = folder / "annotations.json"
    file.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return read_data_set(file, images or folder, **options)


def precision(found: CocoDataSet, kind: str = "bbox") -> float:
    """AP of predictions that are the clean labels a little moved, every third with a wrong label."""
    truth = clean()
    names = [category["name"] for category in truth["categories"]]
    ids = {one["name"].casefold(): one["id"] for one in found.data["categories"]}
    images = {Path(one["file_name"]).name: one["id"] for one in found.data["images"]}
    results = []
    for number, label in enumerate(truth["annotations"]):
        image_id = images.get(f"scene{label['image_id'] - 1}.png")
        name = names[(label["category_id"] - 1 + (number % 3 == 2)) % len(names)]
        if image_id is None or name not in ids:
            continue
        x, y, width, height = label["bbox"]
        moved = {"bbox": [x + number % 4, y, width, height]}
        if kind == "segm":
            height, width = SIZE if label["image_id"] % 2 == 0 else SIZE[::-1]
            moved = {"segmentation": as_rle(label, (height, width))}
        score = 0.9 - number / 100
        results.append({"image_id": image_id, "category_id": ids[name], "score": score, **moved})
    return average_precision(found.data, results, kind).AP  # type: ignore[arg-type]
