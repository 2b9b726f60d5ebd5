"""A run whose labels show nothing that can be learnt ends there, with the sentence that the snapshot gives."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from stand_in import Answer, stand_in

from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.training.steps import LearningSteps
from prelabel.training.training_run import RunFailed

ROWS = '<Label value="Disc"/><Label value="Box"/>'
BOXES = f'<RectangleLabels name="r" toName="image">{ROWS}</RectangleLabels>'
CONFIG = f'<View><Image name="image" value="$image"/>{BOXES}</View>'


def picture() -> str:
    """A data: URI."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def unlabelled() -> dict[str, Any]:
    value = {"x": 0, "y": 0, "width": 50, "height": 50, "rotation": 0}
    return {"id": "b", "from_name": "r", "to_name": "image", "type": "rectangle", "value": value}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (
            [unlabelled()],
            "none of the 2 labelled images of project 7 can be used: task 1, image: region b of 'r' has no",
        ),
        (
            [],
            "none of the 2 labelled images of project 7 shows an object that can be read: all were submitted without",
        ),
    ],
)
def test_nothing_is_trained_without_an_object(
    result: list[dict[str, Any]], says: str, tmp_path: Path, database: Database, bare_environment: None
) -> None:
    tasks = [
        {"id": number, "data": {"image": picture()}, "annotations": [{"id": number, "result": result}]}
        for number in (1, 2)
    ]
    with stand_in() as server:
        server.answers("/api/projects/7/", Answer({"label_config": CONFIG}))
        server.answers("/api/projects/7/export", Answer(tasks))
        settings = load_settings(
            prelabel_home=tmp_path, label_studio_url=server.url, label_studio_api_key="legacy-token"
        )
        run = SimpleNamespace(id=1, project_id=7)
        steps = LearningSteps(settings, database, run, tmp_path)  # type: ignore[arg-type]
        with pytest.raises(RunFailed) as failed:
            steps.read_labels(lambda done, total: None)
    assert str(failed.value).startswith(says)
