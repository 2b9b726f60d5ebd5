"""Findings and a review to test with."""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnetv3.data.coco import CocoExamples
from fbnetv3.instances import Instances
from prelabel.review.findings import ImageRef, ReviewFinding, finding_id
from prelabel.review.review import Picture, Review
from prelabel.review.subjects import Subjects

LABELS = ("disc", "box")
SIZE = (120, 160)


def finding(kind: str = "swapped_label", task: int | None = 3, **fields: Any) -> ReviewFinding:
    """A disc that may be a box, in a project or (`task` None) in a file."""
    image_ref = ImageRef("a.png") if task is None else ImageRef("a.png", task, "image")
    given: dict[str, Any] = {
        "confidence": 0.75,
        "source": "annotation",
        "made_in": 30,
        "regions": ("r1",),
        "objects": (0,),
        "labels": ("disc",),
        "boxes": ((10.0, 10.0, 50.0, 40.0),),
        "label": "box",
        "box": None,
        "content": ("digest",),
    }
    given |= {"kind": kind, "image_ref": image_ref} | fields
    what = given["content"] or given["box"]
    return ReviewFinding(id=finding_id("project 7", image_ref, given["source"], kind, what), **given)


def overlooked(box: tuple[float, float, float, float], task: int | None = 3, **fields: Any) -> ReviewFinding:
    """A disc without a label."""
    nothing: dict[str, Any] = dict.fromkeys(("regions", "objects", "labels", "boxes", "content"), ())
    return finding("overlooked", task, **nothing, label="disc", box=box, **fields)


def subjects(*boxes: tuple[float, float, float, float], label: int = 0) -> Subjects:
    """One image, of task 3, with these objects."""
    records = [
        {
            "id": n,
            "image_id": 1,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "regions": [f"r{n}"],
        }
        for n, (x0, y0, x1, y1) in enumerate(boxes, start=1)
    ]
    image = {
        "id": 1,
        "file_name": "a.png",
        "task": 3,
        "image_key": "image",
        "annotation": 30,
        "split": "train",
    }
    categories = [{"id": number, "name": name} for number, name in enumerate(LABELS)]
    data = {"images": [image], "annotations": records, "categories": categories}
    return Subjects("project 7", "project 7", CocoExamples(data, images=None, with_empty=True))  # type: ignore[arg-type]


def review(*findings: ReviewFinding) -> Review:
    """Of one grey image."""
    pixels = np.full((*SIZE, 3), 128, np.uint8)
    boxes = np.array([[10.0, 10.0, 50.0, 40.0]], np.float32)
    annotated = Instances(SIZE, boxes, np.ones(1, np.float32), np.zeros(1, np.int64), LABELS)
    picture = Picture(pixels, annotated, annotated)
    return Review("project 7", list(findings), 1, ["starter judged 1 images"], [], lambda finding: picture)
