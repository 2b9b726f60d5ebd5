"""Smart tools in the real Label Studio: a person draws a box or clicks, accepts what comes, and submits it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, NO_CHROMIUM, TIMEOUT_MS, log_in
from decoding import box as box_of
from decoding import brush_mask, iou, polygon_mask
from PIL import Image
from playwright.sync_api import Page, expect

from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from prelabel.connect.connect import connect_project
from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.smart_tools import missing_tools
from prelabel.labelstudio.config.writing import label_config

FIRST_SEED = 9_300_000
LARGE = 0.01
"""Of the image: objects that a person would not zoom in for."""

GOOD_MASK = 0.8
"""IoU with the object's own mask: the starter reaches 0.9 here."""

LABELS = "".join(f'<Label value="{label}"/>' for label in SCENE_LABELS)
IMAGE_IS_DRAWN = "() => window.Htx?.annotationStore?.selected?.objects.every(one => one.isReady)"
"""The editor is made anew while a task loads, and forgets what was switched on before."""

ROOM = np.array([-4, -4, 4, 4])
"""Pixels that a person leaves around an object: what to add to its box."""


@dataclass(frozen=True, eq=False)
class Thing:
    """An object of a scene: `box` x0, y0, x1, y1 in pixels, `mask` (H, W) bool, `point` well inside it."""

    label: str
    box: np.ndarray
    mask: np.ndarray
    point: tuple[float, float]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """The first one with two large objects, of different kinds, apart from all others."""
    scenes = (generate_scene(seed, (480, 640)) for seed in range(FIRST_SEED, FIRST_SEED + 1000))
    return next(scene for scene in scenes if len({thing.label for thing in _apart(scene)}) >= 2)


@pytest.fixture(scope="module")
def things(scene: Scene) -> list[Thing]:
    """Two of them, the largest ones first."""
    by_label = {thing.label: thing for thing in sorted(_apart(scene), key=lambda thing: thing.mask.sum())}
    return sorted(by_label.values(), key=lambda thing: -thing.mask.sum())[:2]


@pytest.fixture(scope="module")
def photo(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smart") / "scene.png"
    Image.fromarray(scene.image).save(path)
    return path


class Project:
    """A connected project with one image, which is not pre-labelled when somebody opens it."""

    def __init__(self, demo: Demo, client: LabelStudioClient, photo: Path, label_config: str) -> None:
        self._client = client
        self.id = int(client.create_project("Smart tools", label_config)["id"])
        [self.task] = client.import_files(self.id, [photo])
        url, version = demo.prelabel.url, demo.detector.version
        self.backend = connect_project(client, self.id, url, version).backend_id
        client.update_project(self.id, show_collab_predictions=False)
        self.page = f"{demo.label_studio.url}/projects/{self.id}/data?task={self.task}"

    def ask(self, *shapes: dict[str, Any]) -> list[dict[str, Any]]:
        """The regions that Label Studio hands to the editor for these drawn shapes."""
        body = {"task": self.task, "context": {"result": list(shapes)}}
        path = f"/api/ml/{self.backend}/interactive-annotating"
        return self._client.json("POST", path, json=body)["data"]["result"]

    def stored(self) -> list[dict[str, Any]]:
        """The regions of the one submitted annotation."""
        [annotation] = self._client.task(self.task)["annotations"]
        return annotation["result"]


class Editor:
    """Label Studio's editor as a person uses it; places are pixels of the image."""

    def __init__(self, page: Page, address: str, image_width: int) -> None:
        self._page = page
        self._image_width = image_width
        log_in(page, address)
        expect(page.locator(".konvajs-content canvas").first).to_be_visible(timeout=TIMEOUT_MS)
        page.wait_for_function(IMAGE_IS_DRAWN)
        page.get_by_test_id("bottombar-auto-annotation-toggle").check(force=True)

    def pick(self, tool: str, label: int) -> None:
        """A smart tool, and a label by its place in the editor."""
        smart = self._page.locator(".lsf-tool_smart")
        smart.first.hover()
        smart.and_(self._page.get_by_label(tool, exact=True)).click()
        self.pick_label(label)

    def pick_label(self, label: int) -> None:
        """Again, for one more click: drawing puts the label down."""
        self._page.locator(".lsf-label").nth(label).click()

    def drag(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Draw a box and wait for the answer."""
        mouse, (left, top), (right, bottom) = self._page.mouse, self._place(x0, y0), self._place(x1, y1)
        with self._answered():
            mouse.move(left, top)
            mouse.down()
            mouse.move((left + right) / 2, (top + bottom) / 2)
            mouse.move(right, bottom)
            mouse.up()

    def click(self, x: float, y: float, key: str | None = None) -> None:
        """Click and wait for the answer."""
        with self._answered():
            if key:
                self._page.keyboard.down(key)
            self._page.mouse.click(*self._place(x, y))
            if key:
                self._page.keyboard.up(key)

    def accept(self) -> None:
        """Take over all suggestions."""
        button = self._page.get_by_test_id("bottombar-accept-suggestions-button")
        expect(button).to_be_visible()
        button.click()
        expect(button).to_have_count(0)

    def submit(self) -> None:
        with self._page.expect_response(re.compile(r"/api/tasks/\d+/annotations")):
            self._page.get_by_role("button", name="Submit").click()

    def _answered(self) -> Any:
        return self._page.expect_response(re.compile("interactive-annotating"))

    def _place(self, x: float, y: float) -> tuple[float, float]:
        canvas = self._page.locator(".konvajs-content").first.bounding_box()
        assert canvas is not None
        scale = canvas["width"] / self._image_width
        return canvas["x"] + x * scale, canvas["y"] + y * scale


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_a_person_draws_a_box_and_clicks(
    page: Page, demo: Demo, client: LabelStudioClient, photo: Path, things: list[Thing]
) -> None:
    """With the demo's labelling config: its rows of labels are masks, boxes and clicks."""
    boxed, clicked = things
    project = Project(demo, client, photo, label_config(SCENE_LABELS, has_masks=True))
    editor = Editor(page, project.page, image_width=640)

    editor.pick("rectangle-tool", len(SCENE_LABELS) + SCENE_LABELS.index(boxed.label))
    editor.drag(*boxed.box + ROOM)
    editor.accept()
    row = 2 * len(SCENE_LABELS) + SCENE_LABELS.index(clicked.label)
    editor.pick("key-point-tool", row)
    editor.click(*clicked.point)
    editor.pick_label(row)
    editor.click(*clicked.box[:2] + 2 * ROOM[:2], key="Alt")
    editor.accept()
    editor.submit()

    stored = project.stored()
    assert [region["type"] for region in stored] == ["brushlabels"] * 2, "the drawn shapes are gone"
    for region, thing in zip(stored, things, strict=True):
        assert (region["from_name"], region["origin"]) == ("mask", "manual")
        assert region["value"]["brushlabels"] == [thing.label]
        assert iou(brush_mask(region), thing.mask) >= GOOD_MASK


@pytest.fixture(scope="module")
def outlines(demo: Demo, client: LabelStudioClient, photo: Path) -> Iterator[Project]:
    """A project with polygons, and the tools that `prelabel connect` says to add."""
    xml = _config("PolygonLabels", "outline")
    yield Project(demo, client, photo, xml.replace("</View>", f"{missing_tools(xml)}</View>"))


def test_a_box_becomes_a_polygon(outlines: Project, things: list[Thing]) -> None:
    for thing in things:
        [region] = outlines.ask(_drawn_box("smart_box", thing.label, thing.box))
        assert (region["type"], region["from_name"]) == ("polygonlabels", "outline")
        assert region["value"]["polygonlabels"] == [thing.label]
        assert iou(polygon_mask([region]), thing.mask) >= GOOD_MASK


def test_what_is_no_prompt_is_answered_with_nothing(outlines: Project, things: list[Thing]) -> None:
    stroke = _drawn_box("outline", things[0].label, things[0].box) | {"type": "brushlabels"}
    assert outlines.ask(stroke) == []
    assert outlines.ask(_drawn_box("smart_box", "unheard of", things[0].box)) == []


def test_a_project_with_boxes_gets_a_box(
    demo: Demo, client: LabelStudioClient, photo: Path, things: list[Thing]
) -> None:
    project = Project(demo, client, photo, _config("RectangleLabels", "b"))
    loose = things[0].box + ROOM
    [region] = project.ask(_drawn_box("b", things[0].label, loose))
    assert (region["type"], region["from_name"]) == ("rectanglelabels", "b")
    found, true = _filled(box_of(region)), _filled(things[0].box)
    assert iou(found, true) >= iou(_filled(loose), true) - 0.02, "the answer is no better than what was drawn"


def _config(tag: str, name: str) -> str:
    control = f'<{tag} name="{name}" toName="image">{LABELS}</{tag}>'
    return f'<View><Image name="image" value="$image"/>{control}</View>'


def _apart(scene: Scene) -> list[Thing]:
    """The large objects whose boxes meet neither another one nor the edge."""
    found = []
    height, width = scene.image.shape[:2]
    for index, box in enumerate(scene.boxes):
        others = np.delete(scene.boxes, index, axis=0)
        room = box + 3 * ROOM
        meets = ((others[:, :2] < room[2:]) & (others[:, 2:] > room[:2])).all(1).any()
        mask = scene.masks[index].full((height, width))
        meets |= (room[:2] < 0).any() or (room[2:] > (width, height)).any()
        if not meets and mask.mean() >= LARGE:
            y, x = (int(np.median(axis)) for axis in np.nonzero(mask))
            if mask[y, x]:
                label = SCENE_LABELS[scene.classes[index]]
                found.append(Thing(label, np.asarray(box, float), mask, (x + 0.5, y + 0.5)))
    return found


def _drawn_box(control: str, label: str, box: np.ndarray) -> dict[str, Any]:
    """A smart rectangle on the 640 x 480 image, as the editor posts it."""
    x0, y0, x1, y1 = (box / (6.4, 4.8, 6.4, 4.8)).tolist()
    value = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, "rectanglelabels": [label]}
    names = {"from_name": control, "to_name": "image", "type": "rectanglelabels", "origin": "manual"}
    size = {"original_width": 640, "original_height": 480, "image_rotation": 0}
    return {"id": "drawn", "value": value, **names, **size}


def _filled(box: np.ndarray) -> np.ndarray:
    mask = np.zeros((480, 640), bool)
    x0, y0, x1, y1 = box.round().astype(int)
    mask[y0:y1, x0:x1] = True
    return mask
