"""Which predictions are looked through before a bulk accept, and what is said of their regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stand_in import Answer, StandIn, stand_in

from fbnetv3.review.sizes import UsualSizes
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.review.prelabels import prelabelled_images, review_prelabels

PROJECT = 7
CONFIG = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="rect" toName="image">'
    '<Label value="disc"/><Label value="box"/></RectangleLabels></View>'
)
NOTHING_USUAL = UsualSizes({})


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def region(name: str, x: float, score: float | None, label: str = "disc") -> dict[str, Any]:
    value = {"x": x, "y": 10, "width": 20, "height": 30, "rotation": 0, "rectanglelabels": [label]}
    fields = {"from_name": "rect", "to_name": "image", "type": "rectanglelabels"}
    size = {"original_width": 200, "original_height": 100}
    return {"id": name, "value": value, "score": score} | fields | size


def prediction(number: int, task: int, version: str, *result: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "task": task, "model_version": version, "result": list(result), "score": 0.5}


def look(
    server: StandIn, *predictions: dict[str, Any], labelled: tuple[int, ...] = ()
) -> list[tuple[str, tuple[str, ...], float]]:
    """Kind, regions and confidence of what is found in tasks 1 and 2, of a project that shows version p7-v2."""
    rows = [
        {"id": task, "data": {"image": "/data/a.png"}, "total_annotations": int(task in labelled)}
        for task in (1, 2)
    ]
    server.answers(f"/api/projects/{PROJECT}/", Answer({"label_config": CONFIG, "model_version": "p7-v2"}))
    server.answers("/api/predictions/", Answer(list(predictions)))
    server.answers("/api/tasks", Answer({"tasks": rows, "total": len(rows)}))
    client = LabelStudioClient(server.url, "legacy-token")
    images = prelabelled_images(client, read_project(client, PROJECT))
    found = [one for one, _ in review_prelabels("project 7", images, NOTHING_USUAL)]
    assert all(one.source == "prediction" for one in found)
    return [(one.kind, one.regions, one.confidence) for one in found]


def test_unsure_regions_of_unlabelled_tasks(server: StandIn) -> None:
    regions = [region("sure", 0, 0.9), region("unsure", 50, 0.1), region("silent", 75, None)]
    unlabelled = prediction(1, 1, "p7-v2", *regions)
    assert look(server, unlabelled, prediction(2, 2, "p7-v2", region("r", 0, 0.1)), labelled=(2,)) == [
        ("spurious", ("unsure",), 0.9)
    ]


def test_the_shown_version_counts_before_a_newer_prediction(server: StandIn) -> None:
    shown, newer = region("shown", 0, 0.2), region("newer", 0, 0.1)
    assert look(server, prediction(1, 1, "p7-v2", shown), prediction(2, 1, "other", newer)) == [
        ("spurious", ("shown",), 0.8)
    ]
    assert look(server, prediction(1, 1, "old", shown), prediction(2, 1, "other", newer)) == [
        ("spurious", ("newer",), 0.9)
    ]


def test_of_two_regions_of_one_object_the_surer_one_stays(server: StandIn) -> None:
    twice = prediction(1, 1, "p7-v2", region("better", 0, 0.9), region("worse", 0.5, 0.6))
    [(kind, regions, _)] = look(server, twice)
    assert (kind, regions) == ("duplicate", ("worse", "better"))


def test_predictions_without_regions_or_of_other_controls_are_nothing(server: StandIn) -> None:
    choice = {"from_name": "quality", "to_name": "image", "type": "choices", "value": {"choices": ["good"]}}
    assert look(server, prediction(1, 1, "p7-v2"), prediction(2, 2, "p7-v2", choice)) == []
