"""What a person does: log in, open an image, see the regions, submit them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from browser import CHROMIUM, HEIGHT, NO_CHROMIUM, TIMEOUT_MS, WIDTH, log_in
from playwright.sync_api import Page, expect

from prelabel.demo.run import Demo
from prelabel.labelstudio.api.client import LabelStudioClient

RESIZE_MS = 2_000
CROWD = 8
"""Regions: a box and a mask for each of four objects."""

REGION_HEIGHT = 90
"""Twice that of a row in the list of regions, which has half of the page and holds only the rows that fit."""

DRAWN_PIXELS = """() => [...document.querySelectorAll('.konvajs-content canvas')].reduce((sum, canvas) =>
    sum + canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        .filter((value, index) => index % 4 == 3 && value > 0).length, 0)"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)


@pytest.fixture
def task(demo: Demo, client: LabelStudioClient) -> dict[str, Any]:
    """Of the demo's tasks with several objects the one that prelabel is surest of, as Label Studio stores it."""
    crowded = [
        task for task in client.tasks(demo.project_id) if len(task["predictions"][0]["result"]) >= CROWD
    ]
    return max(crowded, key=lambda task: task["predictions"][0]["score"])


def test_a_person_sees_the_regions_and_submits_them(
    page: Page, demo: Demo, client: LabelStudioClient, task: dict[str, Any]
) -> None:
    (prediction,) = task["predictions"]
    before = _webhook_count(demo)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT + REGION_HEIGHT * len(prediction["result"])})
    log_in(page, f"{demo.url}?task={task['id']}")

    expect(page.locator(".lsf-outliner-item")).to_have_count(len(prediction["result"]), timeout=TIMEOUT_MS)
    page.wait_for_function(f"({DRAWN_PIXELS})() > 0")
    _take_picture(page)
    with page.expect_response(re.compile(rf"/api/tasks/{task['id']}/annotations")) as response:
        page.get_by_role("button", name="Submit").click()

    assert response.value.status == requests.codes.created
    (annotation,) = client.task(task["id"])["annotations"]
    assert annotation["parent_prediction"] == prediction["id"]
    assert [region["origin"] for region in annotation["result"]] == ["prediction"] * len(prediction["result"])
    assert _webhook_count(demo) > before, "prelabel was not told"


def _take_picture(page: Page) -> None:
    """Into the file that PRELABEL_SCREENSHOT names: the picture of the README."""
    if path := os.environ.get("PRELABEL_SCREENSHOT"):
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.wait_for_timeout(RESIZE_MS)
        page.screenshot(path=Path(path))


def _webhook_count(demo: Demo) -> float:
    """Events that the server has taken, by its own count."""
    text = requests.get(f"{demo.prelabel.url}/metrics", timeout=10).text
    counts = re.findall(r'^prelabel_requests_total\{.*route="/webhook".*\} (\S+)', text, re.MULTILINE)
    return sum(map(float, counts))
