"""The two parts of a labelled data set: images that the simulated person labels, and images for the figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.data.coco import CocoError, CocoExamples, of_split
from fbnetv3.data.coco_files import CocoDataSet, read_data_set

ImageId = int | str

#: Set aside for the figures where the data does not say, the same images for every seed.
FIGURES_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class ReplayData:
    """COCO data with its images; `pool` and `figures` are the ids of the two parts, in the file's order.

    `split` says in words where the figures come from.
    """

    data: dict[str, Any]
    images: Path
    pool: tuple[ImageId, ...]
    figures: tuple[ImageId, ...]
    split: str

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The categories' names, by class."""
        return self.of(()).labels

    def without_masks(self) -> ReplayData:
        """The same with boxes only, as a project that asks for boxes has them."""
        boxes = [{k: v for k, v in one.items() if k != "segmentation"} for one in self.data["annotations"]]
        return replace(self, data={**self.data, "annotations": boxes})

    def pixels(self, id_: ImageId) -> Array:
        """An image, (H, W, 3) uint8 RGB, and nothing of its labels."""
        record = next(image for image in self.data["images"] if image["id"] == id_)
        unlabelled = {**self.data, "images": [record], "annotations": []}
        return CocoExamples(unlabelled, self.images, with_empty=True)[0].image

    def of(self, ids: Iterable[ImageId]) -> CocoExamples:
        """These images, in this order, with their labels; those without objects too."""
        records = {image["id"]: image for image in self.data["images"]}
        images = [records[id_] for id_ in ids]
        chosen = {image["id"] for image in images}
        labels = [one for one in self.data["annotations"] if one["image_id"] in chosen]
        return CocoExamples(
            {**self.data, "images": images, "annotations": labels}, self.images, with_empty=True
        )


def read_replay_data(annotations: Path, images: Path) -> ReplayData:
    """What `replay_data` makes of COCO files. Raises CocoError."""
    return replay_data(read_data_set(annotations, images))


def replay_data(found: CocoDataSet) -> ReplayData:
    """The images whose `split` is `train`, and those of `val`, else of `test`.

    Where either part is missing, a fifth of all images, drawn with a fixed seed, is set aside for the figures.
    Raises CocoError for fewer than two images, and where no object is labelled.
    """
    data, images = found.learnable(), found.images
    pool = _ids(of_split(data, "train"))
    for split in ("val", "test"):
        figures = _ids(of_split(data, split))
        if pool and figures:
            return ReplayData(data, images, pool, figures, split)
    everything = _ids(data)
    if len(everything) < 2:
        raise CocoError(
            f"{found.name} has too few images: some to label and others for the figures are needed"
        )
    count = max(round(FIGURES_SHARE * len(everything)), 1)
    aside = set(np.random.default_rng(0).permutation(len(everything))[:count].tolist())
    return ReplayData(
        data,
        images,
        _where(everything, set(range(len(everything))) - aside),
        _where(everything, aside),
        f"{count} of {len(everything)} images, set aside",
    )


def _ids(data: dict[str, Any]) -> tuple[ImageId, ...]:
    return tuple(image["id"] for image in data["images"])


def _where(ids: tuple[ImageId, ...], places: Collection[int]) -> tuple[ImageId, ...]:
    return tuple(id_ for place, id_ in enumerate(ids) if place in places)
