"""A project of scenes in a stand-in for Label Studio, whose labels become provisional versions."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from PIL import Image

from fbnetv3.provisional import RegionHead
from fbnetv3.scenes import generate_scene
from prelabel.inference.predictor import Predictor
from prelabel.provisional.making import ProvisionalMaker
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.label_counts import note_change
from prelabel.store.provisional import LabelsRead, ProvisionalVersion
from prelabel.versions.provisional import only_maker, store_provisional

SIZE = (128, 160)
NETWORK = {"prelabel_min_size": 128, "prelabel_max_size": 192, "prelabel_proposals": 20}


@dataclass
class Workplace:
    """The project's labels in Label Studio, and what makes provisional versions of them."""

    studio: LabelStudioStandIn
    settings: Settings
    database: Database
    base: Predictor
    maker: ProvisionalMaker

    def add_task(self, seed: int, image: str | None = None) -> int:
        """An unlabelled scene; its id."""
        [task] = self.studio.add_tasks(image or picture(seed))
        return task

    def label(self, task: int, seed: int, name: str = "Disc") -> None:
        """Submit a box around every object of the scene."""
        scene = generate_scene(seed, SIZE)
        result = [region(box, name) for box in scene.boxes]
        self.studio.tasks[task]["annotations"] = [
            {"id": 1000 + task, "result": result, "parent_prediction": None, "created_at": _moment(task)}
        ]
        self.change()

    def change(self) -> None:
        """As a webhook would tell of it."""
        note_change(self.database, PROJECT)


def picture(seed: int) -> str:
    """A scene as a data: URI."""
    stream = io.BytesIO()
    Image.fromarray(generate_scene(seed, SIZE).image).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def region(box: Any, name: str) -> dict[str, Any]:
    x0, y0, x1, y1 = (box / ([SIZE[1], SIZE[0]] * 2) * 100).tolist()
    value = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, "rectanglelabels": [name]}
    return {"id": "b", "from_name": "rect", "to_name": "image", "type": "rectanglelabels", "value": value}


def _moment(task: int) -> str:
    return f"2026-01-01T00:{task:02}:00Z"


def store_head(
    settings: Settings, database: Database, base: str, project_id: int = PROJECT
) -> ProvisionalVersion:
    """A provisional version that nobody serves: of two images, for the labels Disc and Wheel."""
    head = RegionHead(("Disc", "Wheel"), np.zeros((4, 3), np.float32), np.zeros(3, np.float32), base, 2)
    with only_maker(settings, project_id):
        return store_provisional(settings, database, project_id, head, "f" * 64, LabelsRead(1, 2))
