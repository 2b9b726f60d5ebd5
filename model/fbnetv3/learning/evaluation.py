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

from fbnetv3.detector import Detector
from fbnetv3.images import ImageSource
from fbnetv3.instances import Instances
from fbnetv3.learning.coco import CocoError, encode_mask


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
    """How well a detector does on a data set; `mask` is None where one of the two has no masks."""

    box: AveragePrecision
    mask: AveragePrecision | None
    images: int
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

    The detector's labels are matched to the categories by name. `on_image` is called after each image; the time
    per image counts decoding and detection. Raises CocoError when no label is a category.
    """
    category_of = {category["name"]: category["id"] for category in truth["categories"]}
    if not category_of.keys() & set(detector.labels):
        raise CocoError(f"none of the weights' labels ({', '.join(detector.labels[:5])}, ...) is a category")
    with_masks = detector.has_masks and all(a.get("segmentation") for a in truth["annotations"])
    results: list[dict[str, Any]] = []
    seconds = 0.0
    for record, image in zip(truth["images"], images, strict=True):
        started = time.perf_counter()
        [found] = detector.predict([image])
        seconds += time.perf_counter() - started
        results.extend(to_results(found, record["id"], category_of, with_masks))
        on_image()
    count = len(truth["images"])
    return Evaluation(
        box=average_precision(truth, results, "bbox"),
        mask=average_precision(truth, results, "segm") if with_masks else None,
        images=count,
        ms_per_image=round(1000 * seconds / max(count, 1), 1),
    )


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
