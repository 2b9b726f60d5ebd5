"""What reading COCO files gives: clean data, and what happened to the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import CocoError

NO_LABELS = "it has no annotations (Label Studio exports brush masks as BRUSH_TO_COCO, not as COCO)"


@dataclass(frozen=True, eq=False)
class CocoDataSet:
    """Labelled images as COCO data that needs no further care.

    `name`: the file, for people. `data`: ids are whole numbers, those of annotations unique and from 1 on; every
    file name is one below the folder `images`; width and height are the upright image's; boxes lie inside it;
    `segmentation` is absent, polygons of 6 numbers or more, or compressed RLE of the image's size; iscrowd is 0 or 1.
    `repaired`, `left_out`: a sentence each; `labels_left_out` and `images_left_out` count.
    """

    name: str
    data: dict[str, Any]
    images: Path
    repaired: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    labels_left_out: int = 0
    images_left_out: int = 0

    @property
    def objects(self) -> int:
        """Labels of single objects, crowd regions not counted."""
        return len(self.data["annotations"]) - self.crowds

    @property
    def crowds(self) -> int:
        """Labels of crowd regions."""
        return sum(label["iscrowd"] for label in self.data["annotations"])

    def learnable(self) -> dict[str, Any]:
        """The data without images that have crowd regions alone, which are no images of nothing. Raises CocoError where
        no object is left.
        """
        self.check_objects()
        labels = self.data["annotations"]
        crowded = {label["image_id"] for label in labels if label["iscrowd"]}
        only_crowds = crowded - {label["image_id"] for label in labels if not label["iscrowd"]}
        return {
            **self.data,
            "images": [image for image in self.data["images"] if image["id"] not in only_crowds],
            "annotations": [label for label in labels if label["image_id"] not in only_crowds],
        }

    def check_objects(self) -> None:
        """Raise CocoError where no object is left, with what became of the labels."""
        if self.objects:
            return
        reasons = [f"{self.crowds} are crowd regions"] if self.crowds else []
        if self.labels_left_out:
            reasons.append(f"{self.labels_left_out} were left out ({self.left_out[0]})")
        raise CocoError(f"{self.name} has no labelled object left: {' and '.join(reasons) or NO_LABELS}")
