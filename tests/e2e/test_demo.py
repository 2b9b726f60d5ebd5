"""`prelabel demo` itself: all is pre-labelled, Ctrl-C stops both programs, the next start finds it all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from fbnetv3.scenes import generate_scene
from fbnetv3.weights import load_checkpoint, write_checkpoint
from prelabel.demo.images import EXIF_ORIENTATION, SCENES, write_photo
from prelabel.demo.project import UNFINISHED, UPLOAD_FILES, DemoProject, open_project
from prelabel.demo.run import Demo, DemoError, DemoOptions, running_demo
from prelabel.demo.service import port_is_free
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.writing import label_config
from prelabel.labelstudio.errors import LabelStudioError

READY_SECONDS = 300
PAGE = re.compile(
    r"http://127\.0\.0\.1:(?P<label_studio>\d+)/projects/(?P<project>\d+)/data"
    r".*http://127\.0\.0\.1:(?P<prelabel>\d+).*Ctrl-C stops both",
    re.DOTALL,
)


def test_every_scene_is_prelabelled_by_the_served_version(demo: Demo, client: LabelStudioClient) -> None:
    tasks = list(client.tasks(demo.project_id))
    assert len(tasks) == SCENES
    versions = [[prediction["model_version"] for prediction in task["predictions"]] for task in tasks]
    early = re.compile(rf"p{demo.project_id}-provisional-\d+")  # where another test has labelled some
    assert all(one == demo.detector.version or early.fullmatch(one) for [one] in versions)


def test_the_project_is_connected(demo: Demo, client: LabelStudioClient) -> None:
    (backend,) = client.ml_backends(demo.project_id)
    assert (backend["url"], backend["state"]) == (demo.prelabel.url, "CO")
    assert client.project(demo.project_id)["model_version"] == demo.detector.version


def orientation(path: Path) -> int:
    with Image.open(path) as image:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))


def test_one_scene_lies_on_its_side(demo: Demo) -> None:
    scenes = sorted((demo.backend.home.parent / "scenes").glob("*.jpg"))
    assert sorted(map(orientation, scenes)) == [1] * (SCENES - 1) + [6]


def test_an_import_that_was_cut_off_is_made_anew_and_then_found(
    client: LabelStudioClient, tmp_path: Path
) -> None:
    images = [tmp_path / f"{number}.jpg" for number in range(UPLOAD_FILES + 1)]
    for image in images:
        write_photo(Image.new("RGB", (64, 48)), image)
    project = DemoProject("Cut off", "five images", label_config(("apple",), has_masks=True), images)
    cut_off = client.create_project(
        "Cut off", project.label_config, description=project.description + UNFINISHED
    )
    progress: list[tuple[int, int]] = []

    made = open_project(client, project, lambda done, total: progress.append((done, total)))

    assert client.project(made)["task_number"] == len(images)
    assert progress == [(0, 5), (4, 5)]
    assert open_project(client, project, lambda done, total: None) == made
    with pytest.raises(LabelStudioError, match="404"):
        client.project(cut_off["id"])


def test_a_second_demo_on_the_same_folder_is_refused(demo: Demo, label_studio_program: Path) -> None:
    data = demo.backend.home.parent
    options = DemoOptions(label_studio_program, data, templates=data)
    with pytest.raises(DemoError, match=f"Another demo runs on {data}"), running_demo(options, Console()):
        pass


def test_ctrl_c_stops_both_the_next_start_finds_everything_and_nothing_else_is_written(
    label_studio_program: Path, templates: Path, tmp_path: Path
) -> None:
    user, demo = tmp_path / "user", tmp_path / "demo"
    models = user / ".prelabel" / "models"
    for folder in (user / "photos", user / "tmp", models / "versions" / "p1-v1"):
        folder.mkdir(parents=True)
    write_photo(Image.fromarray(generate_scene(1).image), user / "photos" / "scene.jpg")
    write_checkpoint(load_checkpoint("starter"), models / "mine.safetensors")
    (models / "versions" / "p1-v1" / "weights.safetensors").write_bytes(b"a real project's")
    before = _written(user)

    command = [str(Path(sys.executable).with_name("prelabel")), "demo"]
    command += ["--label-studio", str(label_studio_program), "--images", "photos"]
    command += ["--data", str(demo), "--templates", str(templates)]
    pages = [_start_and_interrupt(command, tmp_path / f"{run}.log", user) for run in (1, 2)]

    assert pages[0]["project"] == pages[1]["project"]
    assert _written(user) == before
    assert re.search(r"model mine-[0-9a-f]{12} is ready", (demo / "prelabel.log").read_text())
    assert list((demo / "prelabel" / "models" / "onnx").glob("*/manifest.json"))


def _written(folder: Path) -> dict[Path, int]:
    """Everything below the folder, and when each file was last written."""
    return {path: 0 if path.is_dir() else path.stat().st_mtime_ns for path in folder.rglob("*")}


def _start_and_interrupt(command: list[str], log: Path, user: Path) -> re.Match[str]:
    """Start a demo at home of this user, press Ctrl-C when it is up, and return the address that it printed."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PRELABEL_", "MODEL_DIR", "XDG_"))
    }
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {
        "HOME": str(user),
        "TMPDIR": str(user / "tmp"),
        "PRELABEL_WEIGHTS": "mine",
        "COLUMNS": "200",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=user
        )
    page = _wait_for_page(process, log)
    process.send_signal(signal.SIGINT)
    assert process.wait(READY_SECONDS) == 0, log.read_text()
    assert port_is_free(int(page["label_studio"])) and port_is_free(int(page["prelabel"]))
    return page


def _wait_for_page(process: subprocess.Popen[bytes], log: Path) -> re.Match[str]:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if page := PAGE.search(log.read_text()):
            return page
        time.sleep(0.2)
    process.terminate()
    pytest.fail(log.read_text())
