"""The labelled regions of a project's images, computed once for each image, its labels and the base weights.

projects/3/provisional/<digest>.safetensors      some ten kilobytes
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.data.coco import has_mask
from fbnetv3.detector import Detector
from fbnetv3.provisional import LabelledRegions, labelled_regions, read_regions, write_regions
from fbnetv3.weights import WeightsError
from prelabel.inference.outcomes import Failure
from prelabel.inference.viewing import ENGINE_ERRORS
from prelabel.labels.collecting import CollectedLabels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageLabels:
    """The objects of an image. `sha256`: of its file. `boxes`: x0, y0, x1, y1 in pixels, one for each of `names`;
    `outlined`: whether it comes from an outline.
    """

    sha256: str
    boxes: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    outlined: tuple[bool, ...]


def image_labels(found: CollectedLabels) -> list[ImageLabels]:
    """What was collected, by image; images without objects too."""
    objects: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in found.images}
    for one in found.annotations:
        objects[one["image_id"]].append(one)
    return [
        ImageLabels(
            image["sha256"],
            tuple(_box(one["bbox"]) for one in objects[image["id"]]),
            tuple(found.labels[one["category_id"] - 1] for one in objects[image["id"]]),
            tuple(has_mask(one) for one in objects[image["id"]]),
        )
        for image in found.images
    ]


class KeptRegions:
    """Those of one project, as one detector describes them. `images`: the folder of its images."""

    def __init__(self, detector: Detector, folder: Path, images: Path) -> None:
        self._detector = detector
        self._folder = folder
        self._images = images
        self._network = [detector.version, detector.engine.config.model_dump_json()]

    def key(self, image: ImageLabels) -> str:
        """What stands for the image, its labels and the weights: the same key, the same regions."""
        content = json.dumps([image.sha256, image.boxes, image.names, image.outlined, *self._network])
        return hashlib.sha256(content.encode()).hexdigest()

    def of(self, image: ImageLabels) -> LabelledRegions | Failure:
        """The regions of an image; why there are none where the network fails on it. Raises WeightsError where the
        disk refuses.
        """
        path = self._path(image)
        if path.exists():
            try:
                return read_regions(path)
            except WeightsError as error:
                logger.warning("computed again: %s", error)
        regions = self._view(image)
        if not isinstance(regions, Failure):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                write_regions(regions, path)
            except OSError as error:
                raise WeightsError(f"{path} cannot be written: {error.strerror or error}") from error
        return regions

    def keep_only(self, images: Iterable[ImageLabels]) -> None:
        """Remove the regions of all other images and labels."""
        kept = {self._path(image) for image in images}
        for path in self._folder.glob("*"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _view(self, image: ImageLabels) -> LabelledRegions | Failure:
        boxes = np.array(image.boxes, np.float32).reshape(-1, 4)
        try:
            features = self._detector.set_image(self._images / image.sha256)
            return labelled_regions(self._detector, features, boxes, image.names, image.outlined)
        except ENGINE_ERRORS as error:
            return Failure("model", f"the network failed: {type(error).__name__}")

    def _path(self, image: ImageLabels) -> Path:
        return self._folder / f"{self.key(image)}.safetensors"


def _box(bbox: Sequence[float]) -> tuple[float, ...]:
    x, y, width, height = bbox
    return x, y, x + width, y + height
