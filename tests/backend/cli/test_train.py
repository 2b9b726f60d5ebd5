"""`prelabel train` as typed: on COCO files here, for a project in the background, interrupted, in two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
from click.testing import Result
from filelock import FileLock
from simulated_data import SIZE, write_scenes
from typer.testing import CliRunner

from fbnetv3.data.examples import SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.finetuning.settings import HYPER_PARAMETERS
from fbnetv3.images import read_image
from fbnetv3.scenes import SCENE_LABELS
from fbnetv3.weights import load_checkpoint
from prelabel.cli import app
from prelabel.cli.simulate import simulate as simulate_command
from prelabel.cli.train import train as train_command
from prelabel.folders import WORKER_LOCK
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.runs import list_runs
from prelabel.worker.wake_up import WakeUpMessages

SPLITS = ["train"] * 3 + ["val"]
TINY = ("--min-size", "64", "--max-size", "96", "--threads", "1")
LIMIT_SECONDS = 120.0
OPTIONS = {"anchor_sizes": "anchors", "cache_bytes": "cache_mib"}

EAGER = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from fbnetv3.finetuning import loop; loop.CHECKPOINT_SECONDS = 0; from prelabel.cli import main; main()"
)
"""The command, with a checkpoint after every step. It hears Ctrl-C even where the tests run in the background of a
shell, which ignores it."""


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), SPLITS)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, bare_environment: None, tmp_path: Path) -> None:
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "200")


def on_coco(annotations: Path, *options: str | Path) -> list[str]:
    given = ("train", "--coco", annotations, "--images", annotations.parent, *options)
    return [str(one) for one in given]


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def train(annotations: Path, *options: str | Path) -> Result:
    return typed(*on_coco(annotations, *options))


@pytest.mark.usefixtures("environment")
def test_a_fine_tuning_and_what_its_weights_are_good_for(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = train(annotations, *TINY, "--epochs", "2", "--no-flip", "--out", out)
    assert result.exit_code == 0, result.output
    assert "epochs = 2.0: as given" in result.stderr
    assert "learning_rate = 0.0005: measured on small sets" in result.stderr
    assert "On 1 images that were left out: box AP50" in result.stdout and "etter" in result.stdout
    assert str(out / "weights.safetensors") in result.stdout
    plan = json.loads((out / "plan.json").read_text())
    assert (plan["epochs"], plan["flip"], plan["min_size"]) == (2, False, 64)
    assert json.loads((out / "judgement.json").read_text())["candidate"]["images"] == 1
    assert "epochs = 2.0: as given" in (out / "train.log").read_text()

    detector = Detector.load(out / "weights.safetensors", engine="torch", threads=1)
    assert detector.labels == SceneExamples(0, 1).labels
    (found,) = detector.predict([read_image(annotations.parent / "1.png")])
    assert found.image_size in (SIZE, SIZE[::-1])
    figures = tmp_path / "figures.json"
    command = [*on_coco(annotations, "--weights", out / "weights.safetensors", "--split", "val")][1:]
    result = typed("evaluate", *command, "--engine", "torch", "--json", str(figures))
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text())["images"] == 1


@pytest.mark.usefixtures("environment")
def test_where_nobody_set_images_apart_all_of_them_teach_and_judge(tmp_path: Path) -> None:
    """By the choice of a project one of the five would be held out."""
    out = tmp_path / "out"
    annotations = write_scenes(tmp_path, [None] * 5)
    result = train(annotations, *TINY, "--epochs", "1", "--out", out)
    assert result.exit_code == 0, result.output
    assert "On 5 images that were left out: box AP50" in result.stdout
    assert "all 5 images" in (out / "train.log").read_text()
    judged = json.loads((out / "judgement.json").read_text())
    assert len(set(judged["candidate"]["keys"])) == judged["start"]["images"] == 5
    digests = {load_checkpoint(file).digest for file in out.rglob("weights.safetensors")}
    assert len(digests) == 4, "of three folds, and of all images"
    assert Detector.load(out / "weights.safetensors", engine="torch", threads=1).labels == SCENE_LABELS


@pytest.mark.usefixtures("environment")
def test_ctrl_c_and_on_from_there(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = on_coco(annotations, *TINY, "--epochs", "8", "--batch-size", "1", "--out", out)
    process = subprocess.Popen([sys.executable, "-c", EAGER, *options], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (out / "state.pt").exists() and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130, said
    assert "Stopped; the same command goes on from the last checkpoint." in said and "Traceback" not in said
    assert not (out / "weights.safetensors").exists()

    result = typed(*options)
    assert result.exit_code == 0, result.output
    assert "going on from step" in result.stderr
    assert "after 24 steps" in result.stdout and (out / "weights.safetensors").exists()


@pytest.mark.usefixtures("environment")
def test_two_processes_of_torchrun_come_to_the_same_weights(annotations: Path, tmp_path: Path) -> None:
    """Each in a folder of its own, to compare what they come to."""
    options = on_coco(annotations, *TINY, "--epochs", "2", "--batch-size", "2")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one = ["--no-python", "sh", "-c", 'exec "$0" -m prelabel "$@" --out "$OUT/$RANK"', sys.executable]
    ran = subprocess.run(
        [*torchrun, *one, *options],
        env={**os.environ, "OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    first, second = (load_checkpoint(tmp_path / rank / "weights.safetensors").digest for rank in "01")
    assert first == second
    assert ran.stdout.count("images that were left out") == 1, "only the first process speaks"
    assert not (tmp_path / "1" / "metrics.jsonl").exists()


@pytest.mark.usefixtures("environment")
def test_a_run_of_a_project_is_requested_and_its_worker_woken(tmp_path: Path) -> None:
    settings = load_settings()
    nobody = f"No worker runs for {settings.prelabel_home}"
    result = typed("train", "--project", "7")
    assert result.exit_code == 0, result.output
    assert "Run 1 of project 7 is queued" in result.stdout and nobody in result.stdout
    database = Database.open(settings.database_url)
    assert [(run.project_id, run.requested_by) for run in list_runs(database)] == [(7, "prelabel train")]
    database.close()
    assert WakeUpMessages(settings).huey.pending_count() == 1
    with FileLock(settings.prelabel_home / WORKER_LOCK):
        assert nobody not in typed("train", "--project", "8").stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--map", "lorry"), "--map takes label=label of the weights"),
        (("--map", "lorry=mug"), "the data has no label 'lorry'"),
        (("--map", "mug=lorry"), "the weights have no label 'lorry'"),
        (("--min-size", "500", "--max-size", "400"), "must not exceed"),
        (("--epochs", "0"), "epochs must be greater than 0"),
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--coco", "nowhere.json"), "cannot read nowhere.json"),
        (("--images", "nowhere"), "1.png"),
        (("--project", "7"), "give either --project, or --coco and --images"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_one_sentence_when_it_cannot(
    options: tuple[str, ...], sentence: str, annotations: Path, tmp_path: Path
) -> None:
    result = train(annotations, "--out", tmp_path / "out", *options)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and sentence in errors[0]


@pytest.mark.parametrize("name", HYPER_PARAMETERS)
@pytest.mark.parametrize("command", [train_command, simulate_command])
def test_the_range_of_a_hyper_parameter_is_that_of_its_option(
    command: Callable[..., None], name: str
) -> None:
    one = HYPER_PARAMETERS[name]
    hint = get_type_hints(command, include_extras=True).get(OPTIONS.get(name, name))
    if hint is None:
        assert command is simulate_command
        return
    [option] = hint.__metadata__
    assert (option.min, option.max) == (one.ge, one.le)
    assert option.help.startswith(one.description)


@pytest.mark.usefixtures("environment")
def test_a_value_out_of_its_range_is_refused(annotations: Path) -> None:
    result = train(annotations, "--min-size", "8")
    assert result.exit_code == 2 and "--min-size" in result.stderr and "64" in result.stderr


@pytest.mark.usefixtures("environment")
def test_neither_a_project_nor_files_is_a_sentence() -> None:
    result = typed("train")
    assert result.exit_code == 1 and "give either --project, or --coco and --images" in result.stderr
