"""Average precision by COCO's rules (pycocotools), for boxes and masks, and the time per image."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fbnetv3.data.coco import CocoError, encode_mask, has_mask
from fbnetv3.data.label_names import in_spelling_of
from fbnetv3.detector import Detector
from fbnetv3.images import ImageError, ImageSource
from fbnetv3.instances import Instances


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's six numbers, 0..1: AP over IoU 0.50:0.95, at 0.50, at 0.75, and of small, medium, large objects.

    -1 where the data has no such object.
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float


@dataclass(frozen=True)
class Evaluation:
    """How well a detector does on so many images with so many labelled objects; `mask` is None where one of the two
    has no masks.
    """

    box: AveragePrecision
    mask: AveragePrecision | None
    images: int
    objects: int
    ms_per_image: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def evaluate(
    detector: Detector,
    truth: dict[str, Any],
    images: Sequence[ImageSource],
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Detect in `images`, which belong to `truth["images"]` one to one, and compare with the COCO data `truth`.

    The detector's labels are matched to the categories by name, whatever its case. Mask AP takes objects whose mask is
    not known for crowds with the shape of their box. `on_image` is called after each image; the time per image counts
    decoding and detection. Raises CocoError when no label is a category, there is no object to find, or an image cannot
    be read.
    """
    category_of = _categories_by_label(truth["categories"], detector.labels)
    objects = sum(not label.get("iscrowd") for label in truth["annotations"])
    if not objects:
        raise CocoError("the data has no labelled object to find: crowd regions do not count")
    with_masks = detector.has_masks and any(map(has_mask, truth["annotations"]))
    results: list[dict[str, Any]] = []
    seconds = 0.0
    for record, image in zip(truth["images"], images, strict=True):
        started = time.perf_counter()
        try:
            [found] = detector.predict([image])
        except ImageError as error:
            raise CocoError(f"{record.get('file_name', record['id'])}: {error}") from None
        seconds += time.perf_counter() - started
        results.extend(to_results(found, record["id"], category_of, with_masks))
        on_image()
    count = len(truth["images"])
    return Evaluation(
        box=average_precision(truth, results, "bbox"),
        mask=average_precision(with_crowds(truth), results, "segm") if with_masks else None,
        images=count,
        objects=objects,
        ms_per_image=round(1000 * seconds / max(count, 1), 1),
    )


def _categories_by_label(categories: Sequence[dict[str, Any]], labels: Sequence[str]) -> dict[str, int]:
    """A detector's label -> the id of the category of that name."""
    ids = {category["name"]: category["id"] for category in categories}
    spelled = zip(labels, in_spelling_of(tuple(ids), labels), strict=True)
    found = {label: ids[name] for label, name in spelled if name in ids}
    if not found:
        raise CocoError(f"none of the weights' labels ({', '.join(labels[:5])}, ...) is a category")
    return found


def with_crowds(truth: dict[str, Any]) -> dict[str, Any]:
    """The same objects; those without a mask are crowds, which COCO's evaluation of masks counts neither way."""
    annotations = []
    for one in truth["annotations"]:
        if not one.get("segmentation"):
            x, y, width, height = one["bbox"]
            outline = [x, y, x + width, y, x + width, y + height, x, y + height]
            one = {**one, "segmentation": [outline], "iscrowd": 1}
        annotations.append(one)
    return {**truth, "annotations": annotations}


def to_results(
    found: Instances, image_id: int, category_of: Mapping[str, int], with_masks: bool
) -> list[dict[str, Any]]:
    """Instances as COCO results; those whose label is no category are left out."""
    results = []
    for i, label in enumerate(found.labels):
        if label not in category_of:
            continue
        x0, y0, x1, y1 = found.boxes[i].tolist()
        result: dict[str, Any] = {
            "image_id": image_id,
            "category_id": category_of[label],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(found.scores[i]),
        }
        if with_masks and found.masks is not None:
            result["segmentation"] = encode_mask(found.masks[i], found.image_size)
        results.append(result)
    return results


def average_precision(
    truth: dict[str, Any], results: list[dict[str, Any]], kind: Literal["bbox", "segm"]
) -> AveragePrecision:
    """What COCO's evaluation says of `results` (see to_results) against the COCO data `truth`."""
    # With both geometries in a result, pycocotools would take a mask's size from its box.
    other = "segmentation" if kind == "bbox" else "bbox"
    results = [{key: value for key, value in result.items() if key != other} for result in results]
    # It also writes into the truth's records.
    truth = {**truth, "annotations": [dict(label) for label in truth["annotations"]]}
    with contextlib.redirect_stdout(io.StringIO()):
        ground = _indexed(truth)
        found = ground.loadRes(results) if results else _indexed({**truth, "annotations": []})
        judge = COCOeval(ground, found, kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return AveragePrecision(*np.round(judge.stats[:6], 4).tolist())


def _indexed(data: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = {"info": {}, "licenses": [], **data}
    coco.createIndex()
    return coco
