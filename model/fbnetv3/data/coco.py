"""Clean data sets in COCO's JSON format: labelled images of them, and writing labels for COCO's evaluation.

Files as other tools write them are read by `coco_files`; snapshots of our own are checked here and never repaired.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fbnetv3.arrays import Array
from fbnetv3.data.examples import Example, Examples
from fbnetv3.errors import FbnetError
from fbnetv3.images import ImageError, read_image
from fbnetv3.instances import BoxMask


class CocoError(FbnetError):
    """An annotation file cannot be used; the message says in one sentence why."""


@dataclass(frozen=True, eq=False)
class CocoExamples:
    """The images of a COCO data set that have labels, `with_empty` the others too; crowd regions are left out.

    Classes are the categories in the order of their ids. Where some label of the data set has a mask, every
    example has masks, an empty one for each label without; otherwise they are None.
    """

    data: dict[str, Any]
    images: Path
    with_empty: bool = False

    @cached_property
    def categories(self) -> dict[int, int]:
        """Category id -> class."""
        return {category["id"]: index for index, category in enumerate(sorted_categories(self.data))}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The categories' names, by class."""
        return tuple(category["name"] for category in sorted_categories(self.data))

    @cached_property
    def has_masks(self) -> bool:
        """Whether some label has a mask."""
        return any(has_mask(annotation) for annotation in self.data["annotations"])

    @cached_property
    def records(self) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each image with its labels."""
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in self.data["annotations"]:
            if not annotation.get("iscrowd") and min(annotation["bbox"][2:]) > 0:
                by_image.setdefault(annotation["image_id"], []).append(annotation)
        return [
            (image, by_image.get(image["id"], []))
            for image in self.data["images"]
            if self.with_empty or image["id"] in by_image
        ]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        """Raises CocoError for an image that cannot be read, and a mask of another size than its image."""
        record, annotations = self.records[index]
        try:
            image = read_image(self.images / record["file_name"])
        except ImageError as error:
            raise CocoError(f"{record['file_name']}: {error}") from None
        boxes = np.array([annotation["bbox"] for annotation in annotations], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        classes = [self.categories[annotation["category_id"]] for annotation in annotations]
        masks = None
        if self.has_masks:
            masks = tuple(_mask_of(annotation, image.shape[:2]) for annotation in annotations)
        return Example(image, boxes, np.array(classes, np.int64), masks)


def read_coco(annotations: Path, split: str | None = None) -> dict[str, Any]:
    """The content of an annotation file; with `split`, only the images whose `split` says so, and their labels.

    Raises CocoError for a file that is not COCO's, or a split without images.
    """
    try:
        data: dict[str, Any] = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise CocoError(f"cannot read {annotations}: {error.strerror or error}") from None
    except ValueError:
        raise CocoError(f"{annotations} is not JSON") from None
    try:
        check_coco(data)
    except CocoError as error:
        raise CocoError(f"{annotations} {error}") from None
    if split is None:
        return data
    chosen = of_split(data, split)
    if not chosen["images"]:
        raise CocoError(f"{annotations} has no images whose split is {split!r}")
    return chosen


def check_coco(data: Any) -> None:
    """Raise CocoError, a sentence without a subject, for what is not COCO's; give labels iscrowd and area."""
    kinds = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(kind), list) for kind in kinds):
        raise CocoError("is not in COCO's format: images, annotations and categories are needed")
    for kind, key in (("images", "file_name"), ("categories", "name")):
        for record in data[kind]:
            if not isinstance(record, dict) or not _is_id(record.get("id")) or key not in record:
                raise CocoError(f"is not in COCO's format: all {kind} need an id and a {key}")
    images = {image["id"] for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    for annotation in data["annotations"]:
        _check_annotation(annotation, images, categories)
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])


def _check_annotation(annotation: Any, images: set[int], categories: set[int]) -> None:
    name = f"annotation {annotation.get('id') if isinstance(annotation, dict) else annotation}"
    if not isinstance(annotation, dict) or not _is_box(annotation.get("bbox")):
        raise CocoError(f"is not in COCO's format: {name} has no bbox of four numbers")
    if not _is_id(annotation.get("image_id")) or annotation["image_id"] not in images:
        raise CocoError(f"has no image {annotation.get('image_id')}, of which {name} is")
    if not _is_id(annotation.get("category_id")) or annotation["category_id"] not in categories:
        raise CocoError(f"has no category {annotation.get('category_id')}, which {name} has")


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(isinstance(v, int | float) for v in value)


def of_split(data: dict[str, Any], split: str) -> dict[str, Any]:
    """The images of COCO data whose `split` is this, and their labels; all categories stay."""
    images = [image for image in data["images"] if image.get("split") == split]
    chosen = {image["id"] for image in images}
    labels = [annotation for annotation in data["annotations"] if annotation["image_id"] in chosen]
    return {**data, "images": images, "annotations": labels}


def has_mask(annotation: dict[str, Any]) -> bool:
    """Whether a label has a mask, and is not of a crowd."""
    return bool(annotation.get("segmentation")) and not annotation.get("iscrowd")


def _mask_of(annotation: dict[str, Any], size: tuple[int, int]) -> BoxMask:
    """A label's mask, an empty one where it has none. Raises CocoError for one of another size."""
    if not has_mask(annotation):
        return BoxMask(0, 0, np.zeros((0, 0), bool))
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict) and tuple(segmentation["size"]) != size:
        height, width = segmentation["size"]
        raise CocoError(
            f"the mask of annotation {annotation['id']} is {width} x {height}, its image {size[1]} x {size[0]}"
        )
    return read_mask(segmentation, size)


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


def to_coco(examples: Examples, indices: Iterable[int]) -> tuple[dict[str, Any], Sequence[Array]]:
    """Examples as COCO data, image ids counting from 0, together with their images in that order."""
    data = empty_coco(examples.labels)
    images = []
    for index in indices:
        example = examples[index]
        images.append(example.image)
        add_example(data, example)
    return data, images


def empty_coco(labels: Sequence[str]) -> dict[str, Any]:
    """COCO data without images, its category ids the labels' indices."""
    categories = [{"id": index, "name": name} for index, name in enumerate(labels)]
    return {"images": [], "annotations": [], "categories": categories}


def add_example(data: dict[str, Any], example: Example) -> None:
    """Append an example to COCO data; its image id is the number of images before it.

    An object whose mask is empty (not known) gets no segmentation.
    """
    size = example.image.shape[:2]
    image_id = len(data["images"])
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
        if example.masks is not None and example.masks[i].area:
            record["segmentation"] = encode_mask(example.masks[i], size)
            record["area"] = example.masks[i].area
        data["annotations"].append(record)
