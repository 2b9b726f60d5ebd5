"""A prediction that is accepted unchanged in a real Label Studio comes back from the snapshot as the same instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from default_limits import fetch_limits
from PIL import Image

from fbnetv3.data.examples import Example
from fbnetv3.instances import Instances
from fbnetv3.scenes import SCENE_LABELS, generate_scene
from prelabel.demo.images import write_photo
from prelabel.labels.snapshots import ProjectSnapshot, build_snapshot
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.labelstudio.regions.predictions import to_prediction, to_regions

SIZE = (240, 320)
FIRST_SCENE = 9_500_000
ROWS = "".join(f"<Label value={quoteattr(label)}/>" for label in SCENE_LABELS)
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    f'<RectangleLabels name="box" toName="image">{ROWS}</RectangleLabels>'
    f'<BrushLabels name="mask" toName="image">{ROWS}</BrushLabels></View>'
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Instances]]:
    """Eight photos, one of them on its side, and what a perfect detector sees in them."""
    folder = tmp_path_factory.mktemp("scenes")
    pairs = []
    for number in range(8):
        scene = generate_scene(FIRST_SCENE + number, SIZE)
        path = folder / f"{number}.jpg"
        write_photo(Image.fromarray(scene.image), path, turned=number == 1)
        scores = np.linspace(0.9, 0.5, len(scene.boxes)).astype(np.float32)
        pairs.append(
            (path, Instances(SIZE, scene.boxes, scores, scene.classes, SCENE_LABELS, tuple(scene.masks)))
        )
    return pairs


@pytest.fixture(scope="module")
def project_id(client: LabelStudioClient, scenes: list[tuple[Path, Instances]]) -> int:
    """All predicted and accepted by the bulk action; then the first skipped, a draft beside the second."""
    project = client.create_project("Accepted unchanged", CONFIG)
    task_ids = client.import_files(project["id"], [path for path, _ in scenes])
    controls = LabelSpec.from_config(CONFIG, SCENE_LABELS, 0.0).controls
    predictions = [
        {"task": task_id} | to_prediction(to_regions(found, controls), 0.9, "perfect-1")
        for task_id, (_, found) in zip(task_ids, scenes, strict=True)
    ]
    assert client.import_predictions(project["id"], predictions) == len(scenes)
    everything = {"selectedItems": {"all": True, "excluded": []}, "ordering": []}
    params = {"id": "predictions_to_annotations", "project": project["id"]}
    client.json("POST", "/api/dm/actions", params=params, json=everything)
    first, second = (client.task(task_id) for task_id in task_ids[:2])
    client.json("PATCH", f"/api/annotations/{first['annotations'][0]['id']}/", json={"was_cancelled": True})
    draft = {"result": [], "lead_time": 1.0}
    client.json("POST", f"/api/tasks/{second['id']}/drafts", json=draft)
    return int(project["id"])


@pytest.fixture(scope="module")
def built(
    client: LabelStudioClient, project_id: int, tmp_path_factory: pytest.TempPathFactory
) -> ProjectSnapshot:
    return build(client, project_id, tmp_path_factory.mktemp("project"))


def build(client: LabelStudioClient, project_id: int, folder: Path) -> ProjectSnapshot:
    fetcher = ImageFetcher(client, fetch_limits(), folder / "cache")
    return build_snapshot(client, fetcher, read_project(client, project_id), folder, 10_000_000)


def examples(built: ProjectSnapshot) -> dict[int, Example]:
    """By task."""
    snapshot = built.snapshot
    return {
        record["task"]: part[index]
        for part in (snapshot.train, snapshot.holdout)
        for index, (record, _) in enumerate(part.records)
    }


def test_the_same_instances_come_back(
    client: LabelStudioClient, project_id: int, scenes: list[tuple[Path, Instances]], built: ProjectSnapshot
) -> None:
    found = examples(built)
    tasks = sorted(task["id"] for task in client.tasks(project_id, with_results=False))
    assert sorted(found) == tasks[1:], "the first was skipped"
    assert built.left_out == [] and built.tasks == built.annotations == len(scenes) - 1
    assert built.snapshot.labels == SCENE_LABELS
    for task_id, (_, expected) in list(zip(tasks, scenes, strict=True))[1:]:
        example = found[task_id]
        assert example.image.shape == (*SIZE, 3), "upright"
        assert example.classes.tolist() == expected.classes.tolist()
        np.testing.assert_allclose(example.boxes, expected.boxes, atol=0.01)
        assert example.masks is not None and expected.masks is not None
        for ours, theirs in zip(example.masks, expected.masks, strict=True):
            assert np.array_equal(ours.full(SIZE), theirs.full(SIZE))


def test_the_same_labels_are_the_same_snapshot_wherever_it_is_built(
    client: LabelStudioClient, project_id: int, built: ProjectSnapshot, tmp_path: Path
) -> None:
    assert build(client, project_id, tmp_path).snapshot.digest == built.snapshot.digest


def test_a_ground_truth_counts_before_a_newer_annotation(
    client: LabelStudioClient, project_id: int, built: ProjectSnapshot, tmp_path: Path
) -> None:
    task = list(client.tasks(project_id))[2]
    [old] = task["annotations"]
    client.json("PATCH", f"/api/annotations/{old['id']}/", json={"ground_truth": True})
    newer: dict[str, Any] = {"result": [], "lead_time": 1.0}
    client.json("POST", f"/api/tasks/{task['id']}/annotations/", json=newer)
    again = build(client, project_id, tmp_path)
    assert again.snapshot.digest == built.snapshot.digest and again.annotations == built.annotations + 1
    client.json("PATCH", f"/api/annotations/{old['id']}/", json={"ground_truth": False})
    example = examples(build(client, project_id, tmp_path))[task["id"]]
    assert len(example.boxes) == len(old["result"]) // 2, "the change of the flag made it the newest"
