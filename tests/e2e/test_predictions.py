"""Photos go through a real Label Studio and prelabel, and what is stored equals what the detector sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from decoding import box, brush_mask, iou, objects, polygon_mask
from label_studio_calls import retrieve_predictions
from PIL import Image

from fbnetv3.images import read_image
from fbnetv3.instances import Instances
from fbnetv3.scenes import generate_scene
from prelabel.connect.connect import connect_project
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient

SIZE = (600, 800)
PHOTOS = {"upright.jpg": False, "turned.jpg": True, "portrait.jpg": False}
BROKEN = "broken.jpg"
CONTROLS = {"RectangleLabels": "box", "BrushLabels": "mask", "PolygonLabels": "outline"}

everywhere = pytest.mark.parametrize("name", PHOTOS)


@dataclass(frozen=True)
class Stored:
    """What Label Studio holds for one photo, and what the detector sees in it."""

    prediction: dict[str, Any]
    instances: Instances

    def objects(self, control: str) -> list[list[dict[str, Any]]]:
        return objects(self.prediction["result"], control)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos, one of them lying on its side with an EXIF orientation, and a file that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (name, turned) in enumerate(PHOTOS.items()):
        size = SIZE[::-1] if name == "portrait.jpg" else SIZE
        write_photo(Image.fromarray(_crowded_scene(number, size)), folder / name, turned=turned)
    (folder / BROKEN).write_text("no image")
    return folder


@pytest.fixture(scope="module")
def project_id(demo: Demo, client: LabelStudioClient, folder: Path) -> int:
    """A connected project with all four images, the broken one amidst the good ones, predicted on request."""
    project = client.create_project("End to end", _label_config(demo.detector.labels))
    names = sorted([*PHOTOS, BROKEN])
    task_ids = client.import_files(project["id"], [folder / name for name in names])
    connect_project(client, project["id"], demo.prelabel.url, demo.detector.version)
    retrieve_predictions(client, project["id"], task_ids)
    return int(project["id"])


@pytest.fixture(scope="module")
def predictions(client: LabelStudioClient, project_id: int) -> dict[str, dict[str, Any]]:
    """File name -> its one prediction, read back from Label Studio; none of the broken one."""
    tasks = [task for task in client.tasks(project_id) if _file_name(task) != BROKEN]
    return {_file_name(task): _only(task["predictions"]) for task in tasks}


@pytest.fixture(scope="module")
def stored(demo: Demo, folder: Path, predictions: dict[str, dict[str, Any]]) -> dict[str, Stored]:
    """The good photos."""
    threshold = demo.backend.settings.model_score_threshold
    images = [read_image(folder / name) for name in PHOTOS]
    instances = demo.detector.predict(images, score_threshold=threshold)
    assert all(len(found) for found in instances), "without an instance there is nothing to compare"
    return {name: Stored(predictions[name], found) for name, found in zip(PHOTOS, instances, strict=True)}


@everywhere
def test_labels_and_scores_are_those_of_the_detector(stored: dict[str, Stored], name: str) -> None:
    regions = [first for first, *_ in stored[name].objects("box")]
    assert [region["value"]["rectanglelabels"] for region in regions] == [
        [label] for label in stored[name].instances.labels
    ]
    assert [region["score"] for region in regions] == pytest.approx(stored[name].instances.scores, abs=1e-4)


@everywhere
def test_boxes_are_within_a_pixel(stored: dict[str, Stored], name: str) -> None:
    boxes = [box(first) for first, *_ in stored[name].objects("box")]
    np.testing.assert_allclose(boxes, stored[name].instances.boxes, atol=1)


@everywhere
def test_brush_masks_cover_the_instances(stored: dict[str, Stored], name: str) -> None:
    masks = [brush_mask(first) for first, *_ in stored[name].objects("mask")]
    assert min(_ious(masks, stored[name].instances)) >= 0.98


@everywhere
def test_polygons_cover_the_instances(stored: dict[str, Stored], name: str) -> None:
    masks = [polygon_mask(regions) for regions in stored[name].objects("outline")]
    assert min(_ious(masks, stored[name].instances)) >= 0.95


def test_a_turned_photo_is_labelled_upright(stored: dict[str, Stored], folder: Path) -> None:
    with Image.open(folder / "turned.jpg") as image:
        assert image.size == SIZE, "the stored pixels lie on their side"
    sizes = {(r["original_height"], r["original_width"]) for r in stored["turned.jpg"].prediction["result"]}
    assert sizes == {SIZE}


def test_a_broken_image_costs_only_its_own_prediction(
    client: LabelStudioClient, project_id: int, predictions: dict[str, dict[str, Any]]
) -> None:
    assert all(predictions[name]["result"] for name in PHOTOS)
    assert {one["task"] for one in client.predictions(project_id)} == {
        one["task"] for one in predictions.values()
    }


def test_predictions_carry_the_served_version(demo: Demo, predictions: dict[str, dict[str, Any]]) -> None:
    assert {one["model_version"] for one in predictions.values()} == {demo.detector.version}
    assert all(0 <= one["score"] <= 1 for one in predictions.values())


def test_asking_again_adds_nothing(
    client: LabelStudioClient, project_id: int, predictions: dict[str, dict[str, Any]]
) -> None:
    retrieve_predictions(client, project_id, [one["task"] for one in predictions.values()])
    assert {one["id"] for one in client.predictions(project_id)} == {
        one["id"] for one in predictions.values()
    }


def test_it_works_with_a_personal_access_token(client: LabelStudioClient) -> None:
    """Legacy tokens are off in a new Label Studio, so nothing above could have used one."""
    assert client.token_kind == "personal access token"
    assert client.json("GET", "/api/jwt/settings")["legacy_api_tokens_enabled"] is False


def _crowded_scene(seed: int, size: tuple[int, int]) -> np.ndarray:
    """The first scene from this seed on, in steps of 100, that has at least five objects."""
    scenes = (generate_scene(number, size) for number in range(9_000_000 + seed, 9_100_000, 100))
    return next(scene.image for scene in scenes if len(scene.boxes) >= 5)


def _label_config(labels: Sequence[str]) -> str:
    rows = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    controls = "".join(
        f'<{tag} name="{name}" toName="image">{rows}</{tag}>' for tag, name in CONTROLS.items()
    )
    return f'<View><Image name="image" value="$image"/>{controls}</View>'


def _file_name(task: dict[str, Any]) -> str:
    """Label Studio puts eight letters and a dash before the name of an uploaded file."""
    return str(task["data"]["image"].rpartition("/")[2].partition("-")[2])


def _only(values: list[Any]) -> Any:
    assert len(values) == 1
    return values[0]


def _ious(masks: list[np.ndarray], instances: Instances) -> list[float]:
    """IoU of each mask with that of its instance; instances without a pixel have none."""
    assert instances.masks is not None
    expected = [mask.full(instances.image_size) for mask in instances.masks if mask.area]
    return [iou(mask, other) for mask, other in zip(masks, expected, strict=True)]
