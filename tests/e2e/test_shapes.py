"""Every shape in a real Label Studio: predicted, seen and submitted in the browser, read back as the same objects."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
import requests
from browser import CHROMIUM, HEIGHT, NO_CHROMIUM, TIMEOUT_MS, WIDTH, log_in
from default_limits import fetch_limits
from PIL import Image
from playwright.sync_api import Page, expect

from fbnetv3.data.coco import CocoExamples
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.overlap import box_iou
from fbnetv3.scenes import SCENE_LABELS, generate_scene
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.labels.accepted import accepted_tasks
from prelabel.labels.collecting import collect_labels
from prelabel.labels.stored_images import image_store
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.config.project_config import ProjectConfig
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.labelstudio.regions.annotations import to_objects
from prelabel.labelstudio.regions.labelled_objects import LabelledObject
from prelabel.labelstudio.regions.predictions import to_prediction, to_regions

SIZE = (240, 360)
SCENE = 9_600_002
OBJECTS = 2
REGION_HEIGHT = 90
"""Twice that of a row in the list of regions, which has half of the page and holds only the rows that fit."""

ROWS = "".join(f"<Label value={quoteattr(label)}/>" for label in SCENE_LABELS)
LABELS_TAG = f'<Labels name="label" toName="image">{ROWS}</Labels>'
SHAPES = ("Rectangle", "Polygon", "Brush", "Ellipse", "Bitmask")
CONTROLS = {
    **{shape: f'<{shape} name="{shape}" toName="image"/>' for shape in SHAPES},
    **{f"{s}Labels": f'<{s}Labels name="{s}Labels" toName="image">{ROWS}</{s}Labels>' for s in SHAPES},
}
WITHOUT_MASKS = {"Rectangle", "RectangleLabels"}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)


def config(*controls: str) -> str:
    """Shapes with their labels apart, and with them."""
    tags = "".join(CONTROLS[control] for control in controls)
    return f'<View><Image name="image" value="$image" smoothing="false"/>{LABELS_TAG}{tags}</View>'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Instances]:
    """A photo, and what a perfect detector sees in it; its second object is an ellipse that lies aslant."""
    scene = generate_scene(SCENE, SIZE)
    path = tmp_path_factory.mktemp("shapes") / "scene.jpg"
    write_photo(Image.fromarray(scene.image), path)
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    right, down = (columns - 250) * 0.8 + (rows - 120) * 0.6, (rows - 120) * 0.8 - (columns - 250) * 0.6
    aslant = BoxMask.from_full((right / 80) ** 2 + (down / 25) ** 2 < 1)
    height, width = aslant.bitmap.shape
    boxes = np.array([scene.boxes[0], [aslant.x, aslant.y, aslant.x + width, aslant.y + height]], np.float32)
    classes = np.array([scene.classes[0], (scene.classes[0] + 1) % len(SCENE_LABELS)], np.int64)
    scores, masks = np.array([0.9, 0.8], np.float32), (scene.masks[0], aslant)
    return path, Instances(SIZE, boxes, scores, classes, SCENE_LABELS, masks)


@pytest.fixture(scope="module")
def task(client: LabelStudioClient, found: tuple[Path, Instances]) -> dict[str, Any]:
    """A task with a prediction in every shape."""
    path, instances = found
    xml = config(*CONTROLS)
    project = client.create_project("Every shape", xml)
    [task_id] = client.import_files(project["id"], [path])
    spec = LabelSpec.from_config(xml, SCENE_LABELS, 0.5)
    prediction = to_prediction(to_regions(instances, spec.controls), 0.9, "perfect-1")
    assert spec.interface.validate_prediction(prediction, return_errors=True) == []
    assert client.import_predictions(project["id"], [{"task": task_id} | prediction]) == 1
    return client.task(task_id)


def only(result: list[dict[str, Any]], control: str) -> tuple[LabelledObject, ...]:
    """The objects that the regions of one control show, in a project that has no other."""
    shapes = {region["id"] for region in result if region["from_name"] == control}
    image = to_objects(
        [region for region in result if region["id"] in shapes],
        ObjectControls.from_config(config(control)),
        "image",
        SIZE,
    )
    assert not image.left_out
    return image.objects


def test_a_person_sees_every_shape_with_its_label_and_submits_it(
    page: Page,
    demo: Demo,
    client: LabelStudioClient,
    task: dict[str, Any],
    found: tuple[Path, Instances],
    tmp_path: Path,
) -> None:
    _, instances = found
    [prediction] = task["predictions"]
    ids = {region["id"] for region in prediction["result"]}
    assert len(ids) == OBJECTS * len(CONTROLS) and len(prediction["result"]) == OBJECTS * 3 * len(SHAPES)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT + REGION_HEIGHT * len(ids)})
    log_in(page, f"{demo.label_studio.url}/projects/{task['project']}/data?task={task['id']}")

    rows = page.locator(".lsf-outliner-item")
    expect(rows).to_have_count(len(ids), timeout=TIMEOUT_MS)
    shown = Counter(label for text in rows.all_inner_texts() for label in instances.labels if label in text)
    assert shown == dict.fromkeys(instances.labels, len(CONTROLS)), "a region without its label"
    with page.expect_response(re.compile(rf"/api/tasks/{task['id']}/annotations")) as response:
        page.get_by_role("button", name="Submit").click()
    assert response.value.status == requests.codes.created

    [annotation] = client.task(task["id"])["annotations"]
    result = json.loads(json.dumps(annotation["result"]))
    assert {region["id"] for region in result} == ids and len(result) == len(prediction["result"])
    assert {region["origin"] for region in result} == {"prediction"}
    for control in CONTROLS:
        predicted, submitted = (only(regions, control) for regions in (prediction["result"], result))
        assert [one.label for one in submitted] == instances.labels
        for index, (ours, theirs) in enumerate(zip(submitted, predicted, strict=True)):
            np.testing.assert_allclose(ours.box, theirs.box, atol=0.01)
            assert (ours.mask is None) == (control in WITHOUT_MASKS)
            overlap = box_iou(np.array([ours.box]), instances.boxes[index : index + 1])[0, 0]
            assert overlap > 0.9 or ("Ellipse" in control and index == 0), (
                "only the second object is an ellipse"
            )
            if ours.mask is not None and theirs.mask is not None:
                assert np.array_equal(ours.mask.full(SIZE), theirs.mask.full(SIZE))

    fetcher = ImageFetcher(client, fetch_limits(), tmp_path / "cache")
    config = ProjectConfig(client.project(task["project"])["label_config"])
    read = collect_labels(
        accepted_tasks(client, task["project"]), config, image_store(fetcher, tmp_path, 10_000_000)
    )
    assert read.left_out == []
    example = CocoExamples(read.data(), tmp_path)[0]
    assert example.classes.tolist() == instances.classes.tolist(), "all forms of an object are one"
    np.testing.assert_allclose(example.boxes, instances.boxes, atol=0.01)
    assert example.masks is not None and instances.masks is not None
    for ours, theirs in zip(example.masks, instances.masks, strict=True):
        assert np.array_equal(ours.full(SIZE), theirs.full(SIZE))
