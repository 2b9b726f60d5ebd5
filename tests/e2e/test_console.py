"""The console as a person uses it: in a browser, with a real Label Studio, a real run and a real server that dies.

Pictures of the pages go to .build/console; docs/console.md has copies of them.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator import annotate
from axe_playwright_python.sync_playwright import Axe
from browser import CHROMIUM, NO_CHROMIUM, chromium_page
from learning_server import ENDS, learning_server, runs_of, served, wait_until
from PIL import Image
from playwright.sync_api import Page, expect

from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from prelabel.connect.connect import connect_project
from prelabel.demo.images import write_photo
from prelabel.demo.run import Demo
from prelabel.demo.service import Service, free_port
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.writing import label_config
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.review_decisions import keep_findings

PORT = 28150
SIZE = (240, 320)
FIRST_SCENE = 9_700_000
LABELLED, UNLABELLED = 8, 4
RUN_LIMIT_SECONDS = 300.0
expect.set_options(timeout=30_000)
PICTURES = Path(__file__).parents[2] / ".build" / "console"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)


@dataclass(frozen=True)
class Console:
    """A project with accepted labels, and a server with its worker that nobody has told to train yet."""

    settings: Settings
    server: Service
    project_id: int
    photos: list[Path]

    def address(self, *path: object) -> str:
        return "/".join([self.server.url, "console", *map(str, path)])

    def of_project(self, *path: object) -> str:
        return self.address("projects", self.project_id, *path)


@pytest.fixture(scope="module")
def settings(demo: Demo, client: LabelStudioClient, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        label_studio_url=client.url,
        label_studio_api_key=demo.backend.access_token,
        port=free_port(PORT),
        prelabel_home=tmp_path_factory.mktemp("console") / "home",
        prelabel_engine="torch",
        prelabel_weights="starter",
        prelabel_train_every=0,
        prelabel_provisional=False,
        prelabel_reconcile_minutes=1000,
        prelabel_frozen_stages=4,
        prelabel_train_epochs=6,
        prelabel_learning_rate=1e-3,
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Service]:
    with learning_server(settings) as service:
        yield service


@pytest.fixture(scope="module")
def console(
    client: LabelStudioClient, settings: Settings, server: Service, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    folder = tmp_path_factory.mktemp("scenes")
    scenes = [generate_scene(FIRST_SCENE + number, SIZE) for number in range(LABELLED + UNLABELLED)]
    photos = [folder / f"{number}.jpg" for number in range(len(scenes))]
    for scene, file in zip(scenes, photos, strict=True):
        write_photo(Image.fromarray(scene.image), file)
    project_id = client.create_project("Kitchen scenes", label_config(SCENE_LABELS, has_masks=False))["id"]
    tasks = client.import_files(project_id, photos)
    connect_project(client, project_id, server.url, served(server, project_id))
    for task, scene in zip(tasks[:LABELLED], scenes, strict=False):
        _submit(client, task, scene)
    return Console(settings, server, project_id, photos)


def _submit(client: LabelStudioClient, task: int, scene: Scene) -> None:
    """As somebody who draws everything."""
    result, _ = annotate(scene, [])
    client.json("POST", f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 20.0})


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """One tab for the whole story; every error in it fails the test that is under way."""
    with chromium_page() as page:
        yield page


@pytest.fixture(autouse=True)
def no_errors(tab: Page) -> Iterator[None]:
    """Nothing goes wrong inside the pages."""
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield
    assert not errors


def open_page(tab: Page, address: str, heading: str) -> None:
    tab.goto(address)
    expect(tab.get_by_role("heading", level=1)).to_have_text(heading)


def take_picture(tab: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def check_access(tab: Page) -> None:
    """axe-core's rules of WCAG 2 A and AA."""
    found = Axe().run(tab, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, [
        (one["id"], [(node["html"][:200], node["any"][:1]) for node in one["nodes"]][:6]) for one in serious
    ]


def press(tab: Page, button: str, *, sure: bool = True) -> None:
    """A button, and the answer to its question."""
    tab.get_by_role("button", name=button, exact=True).first.click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Yes" if sure else "Not now").click()
    expect(dialog).to_be_hidden()


def test_a_browser_is_led_to_the_overview(console: Console, tab: Page) -> None:
    open_page(tab, console.server.url, "Projects")
    assert tab.url.endswith("/console/")
    expect(tab.get_by_role("link", name="Kitchen scenes")).to_be_visible()
    expect(tab.get_by_text("by hand only")).to_be_visible()
    check_access(tab)


def test_a_run_is_started_and_watched_to_its_end(console: Console, tab: Page) -> None:
    tab.get_by_role("link", name="Kitchen scenes").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Kitchen scenes")
    press(tab, "Start training", sure=False)
    assert runs_of(console.server, console.project_id) == []
    press(tab, "Start training")
    expect(tab.get_by_text(re.compile(r"Run 1 of project \d+ is queued"))).to_be_visible()
    expect(tab.get_by_role("progressbar")).to_have_count(1)
    tab.get_by_role("link", name="log").click()
    expect(tab.get_by_role("heading", name="Run 1")).to_be_visible()
    expect(tab.locator(".log")).to_be_visible()
    expect(tab.get_by_role("heading", name="Loss")).to_be_visible(timeout=RUN_LIMIT_SECONDS * 1000)
    tab.locator(".js-plotly-plot .legend").first.wait_for()
    take_picture(tab, "run")
    check_access(tab)
    wait_until(
        lambda: runs_of(console.server, console.project_id)[0]["state"] in ENDS, "its end", RUN_LIMIT_SECONDS
    )
    [run] = runs_of(console.server, console.project_id)
    assert run["state"] in ("promoted", "rejected"), run["reason"]
    expect(tab.get_by_text(run["reason"], exact=True)).to_be_visible()


def test_its_version_is_shown_and_compared_with_nothing(console: Console, tab: Page) -> None:
    name = f"p{console.project_id}-v1"
    open_page(tab, console.of_project("versions"), "Kitchen scenes")
    check_access(tab)
    tab.get_by_role("link", name=name, exact=True).click()
    expect(tab.get_by_role("cell", name="box AP50")).to_be_visible()
    open_page(tab, console.of_project(), "Kitchen scenes")
    expect(tab.locator(".js-plotly-plot .legend")).to_be_visible()
    take_picture(tab, "quality")
    check_access(tab)


def test_what_serves_is_changed_and_stands_in_the_log(console: Console, tab: Page) -> None:
    name = f"p{console.project_id}-v1"
    if served(console.server, console.project_id) != name:
        pytest.skip("the gate turned the run's version away: nothing to go back from")
    open_page(tab, console.of_project("versions"), "Kitchen scenes")
    take_picture(tab, "versions")
    press(tab, "Serve the base weights")
    expect(tab.locator(".log")).to_contain_text("is served by the base weights now", timeout=120_000)
    wait_until(lambda: served(console.server, console.project_id) != name, "the base weights")
    open_page(tab, console.address("changes"), "Changes")
    expect(tab.get_by_role("cell", name="roll back")).to_be_visible()
    expect(tab.get_by_role("cell", name="127.0.0.1").first).to_be_visible()


def regions(tab: Page) -> int:
    """How many the page says that there are."""
    return int(tab.get_by_text(re.compile(r"\d+ regions by")).inner_text().split()[0])


def draw_box(tab: Page) -> None:
    """Around the middle half of the picture."""
    place = tab.locator(".js-plotly-plot .nsewdrag").bounding_box()
    tab.mouse.move(place["x"] + place["width"] / 4, place["y"] + place["height"] / 4)
    tab.mouse.down()
    tab.mouse.move(place["x"] + place["width"] * 3 / 4, place["y"] + place["height"] * 3 / 4, steps=8)
    tab.mouse.up()


def test_an_image_is_tried(console: Console, tab: Page) -> None:
    open_page(tab, console.address("try"), "Try it")
    tab.locator("input[type=file]").set_input_files(str(console.photos[-1]))
    said = tab.get_by_text(re.compile(r"\d+ regions by"))
    expect(said).to_be_visible()
    few = regions(tab)
    take_picture(tab, "try-it")
    slider = tab.get_by_role("slider").first
    slider.press("Home")
    expect(said).not_to_have_text(re.compile(rf"^{few} regions"))
    assert regions(tab) > few, "more regions from a lower score on"
    slider.press("End")
    expect(said).to_have_text(re.compile("^0 regions"))
    draw_box(tab)
    expect(tab.get_by_text(re.compile("in the drawn box, by"))).to_be_visible()
    check_access(tab)


def test_a_file_that_is_no_image_is_told(console: Console, tab: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(console.photos[0].read_bytes()[:200])
    open_page(tab, console.address("try"), "Try it")
    tab.locator("input[type=file]").set_input_files(str(broken))
    expect(tab.get_by_role("alert").filter(has_text="image")).to_be_visible()


def test_tasks_are_put_in_order(console: Console, tab: Page) -> None:
    open_page(tab, console.of_project("queue"), "Kitchen scenes")
    tab.get_by_role("img", name=re.compile("task")).first.wait_for()  # a promotion puts them in order, too
    tab.get_by_text("Put in order by").click()
    press(tab, "random")
    expect(tab.get_by_text("done", exact=True)).to_be_visible(timeout=RUN_LIMIT_SECONDS * 1000)
    expect(tab.get_by_role("img", name=re.compile("task"))).to_have_count(UNLABELLED, timeout=90_000)
    wait_until(
        lambda: tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), "pictures"
    )
    take_picture(tab, "queue")
    check_access(tab)


def test_a_setting_is_changed_for_the_project(console: Console, tab: Page) -> None:
    open_page(tab, console.of_project("settings"), "Kitchen scenes")
    field = tab.get_by_label("PRELABEL_TRAIN_EVERY")
    field.fill("7")
    field.locator("xpath=ancestor::*[.//button][1]").get_by_role("button", name="Save").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("prelabel settings set")
    dialog.get_by_role("button", name="Yes").click()
    expect(dialog).to_be_hidden()
    expect(tab.get_by_text("PRELABEL_TRAIN_EVERY is 7 for this project")).to_be_visible()
    check_access(tab)
    open_page(tab, console.of_project(), "Kitchen scenes")
    expect(tab.get_by_text("next run: after 7 more labels")).to_be_visible()


def test_a_finding_that_is_dismissed_stays_away(
    console: Console, client: LabelStudioClient, tab: Page
) -> None:
    task = next(iter(client.tasks(console.project_id)))["id"]
    database = Database.open(console.settings.database_url)
    keep_findings(
        database, console.project_id, {one["id"]: one for one in (finding("aa", task), finding("bb", task))}
    )
    database.close()
    open_page(tab, console.of_project("review"), "Kitchen scenes")
    expect(tab.get_by_text("2 findings,")).to_be_visible()
    wait_until(
        lambda: tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), "pictures"
    )
    take_picture(tab, "review")
    check_access(tab)
    tab.keyboard.press("d")
    expect(tab.get_by_text("1 finding,")).to_be_visible()
    expect(tab.get_by_text("Finding aa is dismissed.")).to_be_visible()
    tab.get_by_role("button", name="Accept").click()
    expect(tab.get_by_text("accepted", exact=True)).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("1 finding,")).to_be_visible()


def finding(finding_id: str, task: int) -> dict[str, Any]:
    """As a review keeps it; the surer, the earlier its id."""
    return {
        "id": finding_id,
        "kind": "wrong_label",
        "confidence": 0.9 if finding_id == "aa" else 0.5,
        "source": "annotation",
        "place": {"file": f"{task}.jpg", "task": task, "image_key": "image"},
        "made_in": 1,
        "regions": ["r"],
        "objects": [0],
        "labels": ["apple"],
        "boxes": [[40.0, 40.0, 160.0, 160.0]],
        "label": "mug",
        "box": None,
        "content": ["x"],
        "decision": None,
    }


def test_the_chain_is_examined(console: Console, tab: Page) -> None:
    open_page(tab, console.of_project("doctor"), "Kitchen scenes")
    expect(tab.get_by_text("ok", exact=True).first).to_be_visible(timeout=180_000)
    take_picture(tab, "doctor")
    check_access(tab)
    open_page(tab, console.address(""), "Projects")
    take_picture(tab, "overview")


@pytest.mark.parametrize(
    "path", ["", "try", "changes", "projects/{}", "projects/{}/review", "projects/{}/runs"]
)
def test_pages_fit_a_phone_and_the_dark(console: Console, tab: Page, path: str) -> None:
    tab.emulate_media(color_scheme="dark")
    size = tab.viewport_size
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.goto(console.address(path.format(console.project_id)))
    expect(tab.get_by_role("heading", level=1)).not_to_be_empty()
    tab.wait_for_timeout(1000)
    check_access(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.set_viewport_size(size)
    tab.emulate_media(color_scheme="light")


def test_a_server_that_dies_under_an_open_page_is_told_and_the_page_recovers(
    console: Console, tab: Page
) -> None:
    open_page(tab, console.of_project(), "Kitchen scenes")
    away = tab.get_by_text("The server does not answer")
    expect(away).to_be_hidden()
    os.killpg(console.server._process.pid, signal.SIGKILL)
    expect(away).to_be_visible()
    console.server.stop()
    console.server.start()
    console.server.wait_until_ready(120)
    expect(away).to_be_hidden()
    press(tab, "Start training")
    expect(tab.get_by_text(re.compile(r"Run 2 of project \d+ is"))).to_be_visible()
