"""A task of several pages in a real Label Studio: its Repeater's tags get regions, and a person sees them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from browser import CHROMIUM, NO_CHROMIUM, log_in
from decoding import box
from default_limits import fetch_limits, predictor_options
from label_studio_calls import import_tasks, retrieve_predictions
from PIL import Image
from playwright.sync_api import Page, expect

from fbnetv3.images import read_image
from fbnetv3.scenes import generate_scene
from prelabel.connect.connect import connect_project
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.inference.predictor import Predictor
from prelabel.labels.accepted import accepted_tasks
from prelabel.labels.collecting import collect_labels
from prelabel.labels.stored_images import image_store
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.config.project_config import ProjectConfig
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import annotate_project
from prelabel.versions.own_versions import OwnVersions

PAGES = 3
NEXT_PAGE = "[class*=pagination__btn_arrow-right]:not([class*=double])"
MANY_PIXELS = 1000
"""Drawn by regions, transparent where there are none: more than the editor's own marks."""

DRAWN_PIXELS = """() => [...document.querySelectorAll('.konvajs-content canvas')].reduce((sum, canvas) =>
    sum + canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        .filter((value, index) => index % 4 == 3 && value > 0).length, 0)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with objects in each."""
    folder = tmp_path_factory.mktemp("pages")
    scenes = (generate_scene(number, (480, 640)) for number in range(9_000_000, 9_100_000, 100))
    crowded = (scene.image for scene in scenes if len(scene.boxes) >= 4)
    for number, image in enumerate(islice(crowded, PAGES)):
        write_photo(Image.fromarray(image), folder / f"page{number}.jpg", turned=False)
    return folder


@pytest.fixture(scope="module")
def addresses(client: LabelStudioClient, folder: Path) -> list[str]:
    """Where Label Studio serves the pictures, in their order: it puts eight letters and a dash before a name."""
    uploads = client.create_project("Pictures", '<View><Image name="image" value="$image"/></View>')["id"]
    client.import_files(uploads, sorted(folder.iterdir()))
    uploaded = (task["data"]["image"] for task in client.tasks(uploads))
    return sorted(uploaded, key=lambda address: address.rpartition("-")[2])


@pytest.fixture(scope="module")
def project_id(demo: Demo, client: LabelStudioClient, addresses: list[str]) -> int:
    """A connected project with a task of two pages and one of one page."""
    project_id: int = client.create_project("Pages", _config(demo.detector.labels))["id"]
    urls = [{"url": address} for address in addresses]
    import_tasks(client, project_id, [{"data": {"pages": urls[:2]}}, {"data": {"pages": urls[2:]}}])
    connect_project(client, project_id, demo.prelabel.url, demo.detector.version)
    return project_id


@pytest.fixture(scope="module")
def fetcher(client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> ImageFetcher:
    return ImageFetcher(client, fetch_limits(), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def tasks(
    demo: Demo, client: LabelStudioClient, project_id: int, fetcher: ImageFetcher
) -> list[dict[str, Any]]:
    """The tasks with their predictions: of the first by `annotate`, of the second as Label Studio asks for it."""
    *_, second = client.tasks(project_id)
    retrieve_predictions(client, project_id, [second["id"]])
    summary = annotate_project(
        client,
        Predictor(demo.detector, fetcher, predictor_options()),
        read_project(client, project_id),
        OwnVersions(frozenset({"starter"})),
    )
    assert summary.problems == [], next(client.tasks(project_id))["data"]
    assert (summary.pushed, summary.current) == (1, 1)
    return list(client.tasks(project_id))


def test_every_page_has_the_boxes_of_its_picture(
    demo: Demo, tasks: list[dict[str, Any]], folder: Path
) -> None:
    assert [len(task["predictions"]) for task in tasks] == [1, 1]
    for task, pictures in zip(tasks, ([0, 1], [2]), strict=True):
        result = task["predictions"][0]["result"]
        assert {region["to_name"] for region in result} == {f"page_{n}" for n in range(len(pictures))}
        for number, picture in enumerate(pictures):
            image = read_image(folder / f"page{picture}.jpg")
            [seen] = demo.detector.predict([image], demo.backend.settings.model_score_threshold)
            boxes = [box(region) for region in result if region["from_name"] == f"box_{number}"]
            np.testing.assert_allclose(boxes, seen.boxes, atol=1)


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_a_person_sees_both_pages_and_what_they_submit_is_learnt(
    page: Page,
    demo: Demo,
    client: LabelStudioClient,
    project_id: int,
    tasks: list[dict[str, Any]],
    fetcher: ImageFetcher,
    tmp_path: Path,
) -> None:
    task = tasks[0]
    log_in(page, f"{demo.label_studio.url}/projects/{project_id}/data?task={task['id']}")
    for number in (1, 2):
        expect(page.locator("[class*=pagination__page-indicator]")).to_contain_text(f"{number} of 2")
        page.wait_for_function(f"({DRAWN_PIXELS})() > {MANY_PIXELS}")
        page.screenshot(path=tmp_path / f"page{number}.png")
        if number == 1:
            page.locator(NEXT_PAGE).click()
    with page.expect_response(re.compile(rf"/api/tasks/{task['id']}/annotations")):
        page.get_by_role("button", name="Submit").click()
    [annotation] = client.task(task["id"])["annotations"]
    assert {one["to_name"] for one in annotation["result"]} == {"page_0", "page_1"}
    assert len(annotation["result"]) == len(task["predictions"][0]["result"])
    config = ProjectConfig(client.project(project_id)["label_config"])
    read = collect_labels(accepted_tasks(client, project_id), config, image_store(fetcher, tmp_path, 10**7))
    assert (len(read.images), read.left_out) == (2, [])
    boxes = [region for region in annotation["result"] if region["type"] == "rectanglelabels"]
    assert len(read.annotations) == len(boxes)


def _config(labels: tuple[str, ...]) -> str:
    rows = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        '<View><Repeater on="$pages" indexFlag="{{idx}}" mode="pagination">'
        '<Image name="page_{{idx}}" value="$pages[{{idx}}].url"/>'
        f'<RectangleLabels name="box_{{{{idx}}}}" toName="page_{{{{idx}}}}">{rows}</RectangleLabels>'
        f'<BrushLabels name="mask_{{{{idx}}}}" toName="page_{{{{idx}}}}">{rows}</BrushLabels>'
        "</Repeater></View>"
    )
