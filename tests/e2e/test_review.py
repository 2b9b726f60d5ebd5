"""`prelabel review` against a real Label Studio: labels of drawn scenes, four of them wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, NO_CHROMIUM
from PIL import Image
from playwright.sync_api import Page
from typer.testing import CliRunner, Result

from fbnetv3.detector import Detector
from fbnetv3.overlap import box_iou
from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from prelabel.cli import app
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.writing import label_config
from prelabel.settings import Settings, as_environment, load_settings

SIZE = (240, 320)
FIRST_SCENE = 9_700_000
TASKS = 12
TAB = "prelabel: check"

Region = dict[str, Any]
Regions = list[Region]


def drop(regions: Regions, scene: Scene) -> tuple[Regions, Region]:
    """Without the largest object."""
    [largest] = [one for one in regions if one is max(regions, key=_area)]
    return [one for one in regions if one is not largest], largest


def swap(regions: Regions, scene: Scene) -> tuple[Regions, Region]:
    """The largest object under another label."""
    largest = max(regions, key=_area)
    old = SCENE_LABELS.index(largest["value"]["rectanglelabels"][0])
    largest["value"]["rectanglelabels"] = [SCENE_LABELS[(old + 3) % len(SCENE_LABELS)]]
    return regions, largest


def shift(regions: Regions, scene: Scene) -> tuple[Regions, Region]:
    """The largest object's box by a third of its width, to where there is room: an IoU of one half is left."""
    largest = max(regions, key=_area)
    value = largest["value"]
    away = -1 / 3 if value["x"] + value["width"] * 4 / 3 > 100 else 1 / 3
    value["x"] = max(value["x"] + away * value["width"], 0)
    return regions, largest


def add(regions: Regions, scene: Scene) -> tuple[Regions, Region]:
    """A box where there is nothing."""
    size = (60.0, 60.0)
    places = [(x, y) for x in range(0, SIZE[1] - 60, 10) for y in range(0, SIZE[0] - 60, 10)]
    boxes = np.array([(x, y, x + size[0], y + size[1]) for x, y in places], float)
    emptiest = boxes[box_iou(boxes, scene.boxes).sum(1).argmin()]
    added = region("added", emptiest, SCENE_LABELS[0])
    return [*regions, added], added


GOOD_IOU = 0.7
SHELF = [1.23456789, None, {"a": True}]
"""Something else in the task data, which must come through as it is."""

WRONG: dict[str, Callable[[Regions, Scene], tuple[Regions, Region]]] = {
    "overlooked": drop,
    "swapped_label": swap,
    "badly_placed": shift,
    "spurious": add,
}
"""Kind of finding -> how a label becomes one."""


@dataclass(frozen=True)
class Reviewed:
    """The project; `wrong`: kind -> the task that has such a label, and the region that was changed. `before`: all that
    people made, `data`: the tasks' data.
    """

    project_id: int
    tasks: list[int]
    wrong: dict[str, tuple[int, Region]]
    before: Any
    data: dict[int, str]


@pytest.fixture(scope="module")
def settings(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        label_studio_url=client.url,
        label_studio_api_key=demo.backend.access_token,
        prelabel_home=tmp_path_factory.mktemp("review"),
        prelabel_weights="starter",
    )


@pytest.fixture(scope="module")
def project(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """Scenes labelled as they are drawn, but for four; one task with a draft, one that is not labelled."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes = understood_scenes(demo.detector)
    paths = [folder / f"{number}.jpg" for number in range(TASKS)]
    for scene, path in zip(scenes, paths, strict=True):
        write_photo(Image.fromarray(scene.image), path)
    project_id = client.create_project("Reviewed", label_config(SCENE_LABELS, has_masks=False))["id"]
    tasks = client.import_files(project_id, paths)
    wrong, errors = {}, dict(zip(tasks[2::2], WRONG, strict=False))
    for task, scene in zip(tasks[:-1], scenes, strict=False):
        regions = [
            region(f"{task}-{number}", box, SCENE_LABELS[class_])
            for number, (box, class_) in enumerate(zip(scene.boxes, scene.classes, strict=True))
        ]
        if kind := errors.get(task):
            regions, changed = WRONG[kind](regions, scene)
            wrong[kind] = task, changed
        body = {"result": regions, "lead_time": 9.5}
        client.json("POST", f"/api/tasks/{task}/annotations/", json=body)
    client.json("POST", f"/api/tasks/{tasks[0]}/drafts", json={"result": regions, "lead_time": 1.0})
    data = client.task(tasks[2])["data"] | {"room": "Küche <1>", "shelf": SHELF}
    client.json("PATCH", f"/api/tasks/{tasks[2]}/", json={"data": data})
    return Reviewed(project_id, tasks, wrong, made_by_people(client, tasks), others(client, project_id))


@pytest.fixture(scope="module")
def review(project: Reviewed, settings: Settings) -> Callable[..., Result]:
    """Runs `prelabel review` on the project."""

    def run(*arguments: str) -> Result:
        command = ["review", "--project", str(project.project_id), *arguments]
        result = CliRunner(env=as_environment(settings)).invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture(scope="module")
def out(review: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first review's files."""
    folder = tmp_path_factory.mktemp("report")
    review("--out", str(folder))
    return folder


def understood_scenes(detector: Detector) -> list[Scene]:
    """The first scenes in which the base weights find all objects and nothing else: what a review of them says is
    about their labels.
    """
    numbers = count(FIRST_SCENE)
    return list(
        islice((scene for n in numbers if is_understood(scene := generate_scene(n, SIZE), detector)), TASKS)
    )


def is_understood(scene: Scene, detector: Detector) -> bool:
    [found] = detector.predict([scene.image], 0.3)
    iou = box_iou(found.boxes, scene.boxes)
    right = (iou >= GOOD_IOU) & (found.classes[:, None] == scene.classes)
    return len(found) == len(scene.boxes) and bool(
        right.any(0).all() and (found.scores[right.argmax(0)] > 0.6).all()
    )


def region(name: str, box: np.ndarray, label: str) -> Region:
    """A rectangle as the editor stores it."""
    x0, y0, x1, y1 = (box / (*SIZE[::-1], *SIZE[::-1]) * 100).tolist()
    value = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, "rectanglelabels": [label]}
    fields = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "origin": "manual"}
    return {"id": name, **fields, "value": value, "original_width": SIZE[1], "original_height": SIZE[0]}


def _area(one: Region) -> float:
    return float(one["value"]["width"] * one["value"]["height"])


def made_by_people(client: LabelStudioClient, tasks: list[int]) -> Any:
    """Annotations and drafts of the tasks, all that Label Studio says of them."""
    found = [client.task(task) for task in tasks]
    return json.dumps([(one["annotations"], one["drafts"]) for one in found])


def rows(client: LabelStudioClient, project_id: int) -> list[dict[str, Any]]:
    """What the tab shows, in its order."""
    [view] = [view for view in client.views(project_id) if view["data"]["title"] == TAB]
    return list(client.json("GET", "/api/tasks", params={"view": view["id"], "page_size": 100})["tasks"])


def others(client: LabelStudioClient, project_id: int) -> dict[int, str]:
    """Task -> its data but for the columns of reviews."""
    return {
        row["id"]: json.dumps(
            {key: row["data"][key] for key in row["data"] if not key.startswith("prelabel_check")}
        )
        for row in client.tasks(project_id, with_results=False)
    }


def findings(out: Path) -> list[dict[str, Any]]:
    return list(json.loads((out / "findings.json").read_text())["findings"])


def test_the_wrong_labels_come_first(project: Reviewed, out: Path) -> None:
    first: dict[int, dict[str, Any]] = {}
    for finding in findings(out):
        first.setdefault(finding["place"]["task"], finding)
    assert set(list(first)[: len(WRONG)]) == {task for task, _ in project.wrong.values()}, first
    for kind, (task, changed) in project.wrong.items():
        regions = [] if kind == "overlooked" else [changed["id"]]
        found = [(one["kind"], one["regions"]) for one in findings(out) if one["place"]["task"] == task]
        assert (kind, regions) in found


def test_the_tab_has_them_in_order_and_nothing_else_is_changed(
    client: LabelStudioClient, project: Reviewed, out: Path
) -> None:
    confidence: dict[int, float] = {}
    for finding in findings(out):
        confidence.setdefault(finding["place"]["task"], finding["confidence"])
    shown = [(row["id"], row["data"]["prelabel_check"]) for row in rows(client, project.project_id)]
    assert [score for _, score in shown] == sorted(confidence.values(), reverse=True)
    assert dict(shown) == confidence
    assert made_by_people(client, project.tasks) == project.before
    assert others(client, project.project_id) == project.data
    [(task, _)] = [error for kind, error in project.wrong.items() if kind == "overlooked"]
    data = client.task(task)["data"]
    assert (data["room"], data["shelf"]) == ("Küche <1>", SHELF) and "prelabel_check" in data


def test_a_dismissed_finding_is_gone_until_its_label_changes(
    client: LabelStudioClient, project: Reviewed, review: Callable[..., Result], out: Path
) -> None:
    dismissed, *_ = [one for one in findings(out) if one["kind"] == "swapped_label"]
    accepted, *_ = [one for one in findings(out) if one["kind"] == "overlooked"]
    task = dismissed["place"]["task"]
    review("--dismiss", dismissed["id"], "--accept", accepted["id"])
    for _ in range(2):  # at once, and after another review
        assert dismissed["correction"] not in json.dumps(
            [row["data"].get("prelabel_check_kinds") for row in rows(client, project.project_id)]
        )
        review("--out", str(out))
    left = {one["id"]: one for one in findings(out)}
    assert {row["id"] for row in rows(client, project.project_id)} == {
        one["place"]["task"] for one in left.values()
    }
    assert dismissed["id"] not in left and left[accepted["id"]]["decision"] == "accepted"
    assert made_by_people(client, project.tasks) == project.before

    [annotation] = client.task(task)["annotations"]
    moved = [{**one, "value": {**one["value"], "x": one["value"]["x"] + 0.5}} for one in annotation["result"]]
    client.json("PATCH", f"/api/annotations/{annotation['id']}/", json={"result": moved})
    review("--out", str(out))
    assert any(
        (one["place"]["task"], one["kind"], one["regions"]) == (task, "swapped_label", dismissed["regions"])
        for one in findings(out)
    )
    client.json("PATCH", f"/api/annotations/{annotation['id']}/", json={"result": annotation["result"]})


def test_predictions_are_looked_through_too(
    client: LabelStudioClient, project: Reviewed, review: Callable[..., Result], tmp_path: Path
) -> None:
    unlabelled = project.tasks[-1]
    sure, unsure = (
        region("sure", np.array([10.0, 10, 60, 60]), "apple"),
        region("unsure", np.array([80.0, 80, 120, 120]), "mug"),
    )
    result = [sure | {"score": 0.9}, unsure | {"score": 0.2}]
    client.import_predictions(
        project.project_id, [{"task": unlabelled, "result": result, "score": 0.5, "model_version": "some-1"}]
    )
    review("--predictions", "--no-write-back", "--out", str(tmp_path))
    found = [one for one in findings(tmp_path) if one["source"] == "prediction"]
    assert [(one["place"]["task"], one["regions"], one["confidence"]) for one in found] == [
        (unlabelled, ["unsure"], 0.8)
    ]
    assert "prediction: unsure" in (tmp_path / "review.html").read_text()
    assert unlabelled not in [row["id"] for row in rows(client, project.project_id)]


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_the_page_opens_offline(page: Page, out: Path) -> None:
    page.route("http*://**", lambda route: route.abort())
    problems: list[str] = []
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto((out / "review.html").as_uri())
    assert page.locator("article").count() == len(findings(out))
    assert page.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    page.get_by_text("overlooked (", exact=False).click()
    assert page.locator("article:visible").count() == sum(
        one["kind"] == "overlooked" for one in findings(out)
    )
    assert problems == []
