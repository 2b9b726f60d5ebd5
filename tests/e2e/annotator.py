"""A person who accepts, corrects and draws boxes, by a habit that differs from what the base weights have learned."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from decoding import box as box_of

from fbnetv3.overlap import box_iou
from fbnetv3.scenes import SCENE_LABELS, Scene

Region = dict[str, Any]

LOOSE = frozenset({"apple", "banana", "mug", "leaf"})
"""Labels that are boxed with room around the object; boxes of the others fit tightly."""

ROOM = 0.3
"""On every side, as a share of the object's extent: the IoU with a tight box is 0.39."""

SAME_OBJECT, GOOD_ENOUGH = 0.5, 0.8
"""IoU of a predicted box with the object's own to be about it, with the wanted one to be left as it is."""


def annotate(scene: Scene, predicted: list[Region]) -> tuple[list[Region], Counter[str]]:
    """The regions that the person submits, marked as the editor marks them, and what was done to the predicted ones:
    kept, changed, added, deleted."""
    left = list(predicted)
    result, done = [], Counter[str]()
    for box, number in zip(scene.boxes, scene.classes, strict=True):
        label = SCENE_LABELS[number]
        wanted = _wanted(box, label, scene.image.shape[:2])
        found = _about(box, label, left)
        if found is None:
            result.append(_region(f"drawn{len(result)}", wanted, label, scene, "manual"))
            done["added"] += 1
            continue
        left.remove(found)
        if _iou(found, wanted) >= GOOD_ENOUGH:
            result.append(found | {"origin": "prediction"})
            done["kept"] += 1
        else:
            result.append(found | _region(found["id"], wanted, label, scene, "prediction-changed"))
            done["changed"] += 1
    done["deleted"] = len(left)
    return result, done


def _wanted(box: np.ndarray, label: str, size: tuple[int, int]) -> np.ndarray:
    if label not in LOOSE:
        return box
    room = ROOM * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
    return np.clip(box + room, 0, (size[1], size[0]) * 2)


def _about(box: np.ndarray, label: str, regions: list[Region]) -> Region | None:
    same = [region for region in regions if region["value"]["rectanglelabels"] == [label]]
    best = max(same, key=lambda region: _iou(region, box), default=None)
    return best if best and _iou(best, box) >= SAME_OBJECT else None


def _iou(region: Region, box: np.ndarray) -> float:
    return float(box_iou(np.array([box_of(region)]), box[None])[0, 0])


def _region(region_id: str, box: np.ndarray, label: str, scene: Scene, origin: str) -> Region:
    height, width = scene.image.shape[:2]
    x0, y0, x1, y1 = (box / ([width, height] * 2) * 100).tolist()
    return {
        "id": region_id,
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "value": {
            "x": x0,
            "y": y0,
            "width": x1 - x0,
            "height": y1 - y0,
            "rotation": 0,
            "rectanglelabels": [label],
        },
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "origin": origin,
    }
