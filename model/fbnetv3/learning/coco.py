"""Data sets in COCO's JSON format: reading labelled images, and writing labels for COCO's evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fbnetv3.images import read_image
from fbnetv3.instances import BoxMask
from fbnetv3.learning.examples import Example, Examples


class CocoError(ValueError):
    """An annotation file cannot be used; the message says in one sentence why."""


@dataclass(frozen=True, eq=False)
class CocoExamples:
    """The images of a COCO data set that have labels; crowd regions are left out.

    Classes are the categories in the order of their ids.
    """

    data: dict[str, Any]
    images: Path

    @cached_property
    def categories(self) -> dict[int, int]:
        """Category id -> class."""
        return {category["id"]: index for index, category in enumerate(sorted_categories(self.data))}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The categories' names, by class."""
        return tuple(category["name"] for category in sorted_categories(self.data))

    @cached_property
    def records(self) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each labelled image with its labels."""
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in self.data["annotations"]:
            if not annotation.get("iscrowd") and min(annotation["bbox"][2:]) > 0:
                by_image.setdefault(annotation["image_id"], []).append(annotation)
        return [(image, by_image[image["id"]]) for image in self.data["images"] if image["id"] in by_image]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        record, annotations = self.records[index]
        image = read_image(self.images / record["file_name"])
        boxes = np.array([annotation["bbox"] for annotation in annotations], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        classes = np.array([self.categories[annotation["category_id"]] for annotation in annotations])
        masks = None
        if all(annotation.get("segmentation") for annotation in annotations):
            masks = tuple(read_mask(a["segmentation"], image.shape[:2]) for a in annotations)
        return Example(image, boxes, classes, masks)


def read_coco(annotations: Path, split: str | None = None) -> dict[str, Any]:
    """The content of an annotation file; with `split`, only the images whose `split` says so, and their labels.

    Raises CocoError for a file that is not COCO's, or a split without images.
    """
    try:
        data = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise CocoError(f"cannot read {annotations}: {error.strerror or error}") from None
    except ValueError:
        raise CocoError(f"{annotations} is not JSON") from None
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= data.keys():
        raise CocoError(
            f"{annotations} is not in COCO's format: images, annotations and categories are needed"
        )
    for annotation in data["annotations"]:
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
    if split is None:
        return data
    images = [image for image in data["images"] if image.get("split") == split]
    if not images:
        raise CocoError(f"{annotations} has no images whose split is {split!r}")
    chosen = {image["id"] for image in images}
    labels = [annotation for annotation in data["annotations"] if annotation["image_id"] in chosen]
    return {**data, "images": images, "annotations": labels}


def sorted_categories(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories by id."""
    return sorted(data["categories"], key=lambda category: category["id"])


def read_mask(segmentation: Any, size: tuple[int, int]) -> BoxMask:
    """COCO polygons, or RLE compressed or not, as a mask of an image of `size` (height, width)."""
    return BoxMask.from_full(coco_mask.decode(_to_rle(segmentation, size)).astype(bool))


def _to_rle(segmentation: Any, size: tuple[int, int]) -> Any:
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, *segmentation["size"])
    return segmentation


def encode_mask(mask: BoxMask, size: tuple[int, int]) -> dict[str, Any]:
    """A mask as COCO's compressed RLE."""
    encoded = coco_mask.encode(np.asfortranarray(mask.full(size).astype(np.uint8)))
    return {"size": list(size), "counts": encoded["counts"].decode()}


def to_coco(examples: Examples, indices: Iterable[int]) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """Examples as COCO data, image ids counting from 0, together with their images in that order."""
    data: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": index, "name": name} for index, name in enumerate(examples.labels)],
    }
    images = []
    for image_id, index in enumerate(indices):
        example = examples[index]
        size = example.image.shape[:2]
        images.append(example.image)
        data["images"].append({"id": image_id, "height": size[0], "width": size[1]})
        for i, (box, class_) in enumerate(zip(example.boxes.tolist(), example.classes.tolist(), strict=True)):
            record: dict[str, Any] = {
                "id": len(data["annotations"]) + 1,
                "image_id": image_id,
                "category_id": class_,
                "iscrowd": 0,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": (box[2] - box[0]) * (box[3] - box[1]),
            }
            if example.masks is not None:
                record["segmentation"] = encode_mask(example.masks[i], size)
                record["area"] = example.masks[i].area
            data["annotations"].append(record)
    return data, images
