"""`prelabel simulate` as typed, with a pretended training: what it prints and writes, and how it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from simulated_data import FakeTrainer, write_scenes
from typer.testing import CliRunner

from fbnetv3.weights import load_checkpoint
from prelabel.cli import app

SPLITS = ["train"] * 9 + ["val"]
ASKED = {
    "labels",
    "objects",
    "box_AP50",
    "mask_AP50",
    "no_edit_share",
    "false_positives_per_image",
    "train_seconds",
    "person_seconds",
    "person_seconds_without",
}


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    return write_scenes(folder, SPLITS)


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, bare_environment: None) -> FakeTrainer:
    monkeypatch.setenv("COLUMNS", "120")
    starter = load_checkpoint("starter")
    quick = {"min_size": 192, "max_size": 256, "post_nms_proposals_test": 30}
    fake = FakeTrainer([replace(starter, settings=starter.settings | quick)])
    monkeypatch.setattr("fbnetv3.finetuning.cross_fitting.cross_fit", fake)
    return fake


def simulate(annotations: Path, *arguments: str | Path) -> Result:
    command = ["simulate", "--coco", annotations, "--images", annotations.parent, *arguments]
    return CliRunner().invoke(app, [str(argument) for argument in command])


def test_a_simulation(annotations: Path, trainer: FakeTrainer, tmp_path: Path):
    out = tmp_path / "out"
    options = (
        "--rounds",
        "2,4,50",
        "--order",
        "file",
        "--seeds",
        "1",
        "--frozen-stages",
        "4",
        "--threads",
        "1",
    )
    result = simulate(annotations, *options, "--out", out)
    assert result.exit_code == 0, result.output
    assert "larger rounds become 9" in result.stderr
    said = result.stderr.splitlines()
    assert "seed 0, 2 labels: No training run is due." in said
    for labels in (4, 9):
        [one] = [line for line in said if line.startswith(f"seed 0, {labels} labels: ")]
        assert f"per image on {labels} images" in one
        assert ("rejected. Not better" in one) != ("promoted. Better" in one)
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "2", "4", "9"]

    settings = trainer.calls[0]["settings"]
    assert (settings.frozen_stages, settings.threads, settings.device) == (4, 1, "cpu")
    content = json.loads((out / "simulate.json").read_text())
    assert [one["labels"] for one in content["rounds"]] == [2, 4, 9]
    for one in content["rounds"]:
        assert one.keys() >= ASKED and one["seeds"][0].keys() >= ASKED
        assert one["person_seconds"] < one["person_seconds_without"]
    assert content["start"]["known_labels"] == content["labels"]
    assert content["settings"]["rounds"] == [2, 4, 9] and content["settings"]["effort"]["draw_box"] == 7
    assert content["images"] == {"to_label": 9, "for_figures": 1, "figures_from": "val"}
    assert (out / "simulate.png").read_bytes().startswith(b"\x89PNG")

    again = simulate(annotations, *options, "--out", out)
    assert again.exit_code == 0 and len(trainer.calls) == 2, "nothing is trained again"
    assert again.stdout == result.stdout
    other = simulate(annotations, "--rounds", "5", "--out", out)
    assert other.exit_code == 1 and "another rounds, order, training" in other.stderr


def test_a_strategy_beside_the_random_order(
    annotations: Path, trainer: FakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PRELABEL_SECONDS_DRAW_BOX", "9")
    monkeypatch.setenv("MODEL_SCORE_THRESHOLD", "0.4")
    out = tmp_path / "out"
    options = ("--rounds", "3,5", "--seeds", "1", "--threads", "1", "--min-size", "128", "--max-size", "192")
    result = simulate(
        annotations, *options, "--order", "margin", "--no-gate", "--no-masks", "--epochs", "3", "--out", out
    )
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["3", "random"], ["3", "margin"], ["5", "random"], ["5", "margin"]]
    assert "random:\nseed 0, 3 labels: promoted" in result.stderr and "margin:\nseed 0, 3" in result.stderr
    content = json.loads((out / "compare.json").read_text())
    assert list(content["orders"]) == ["random", "margin"]
    assert content["settings"]["random_share"] == 0.1 and content["settings"]["gated"] is False
    assert content["settings"]["effort"]["draw_box"] == 9 and content["settings"]["score_threshold"] == 0.4
    assert content["orders"]["margin"]["rounds"][1]["mask_AP50"] is None
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    settings = trainer.calls[0]["settings"]
    assert (settings.min_size, settings.max_size, settings.epochs) == (128, 192, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rounds", "ten"), "--rounds takes numbers"),
        (("--rounds", "20,10"), "rounds must be rising"),
        (("--order", "alphabetical"), "there is no order 'alphabetical', but random, file"),
        (("--random-share", "2"), "share of random images must be within 0 and 1"),
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--coco", "nowhere.json"), "cannot read nowhere.json"),
    ],
)
def test_one_sentence_when_it_cannot(
    arguments: tuple[str, str], sentence: str, annotations: Path, trainer: FakeTrainer, tmp_path: Path
):
    result = simulate(annotations, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert sentence in result.stderr and len(result.stderr.splitlines()) == 1


def test_an_image_that_is_missing(trainer: FakeTrainer, tmp_path: Path):
    annotations = write_scenes(tmp_path, ["train", "val"])
    (tmp_path / "1.png").unlink()
    result = simulate(annotations, "--rounds", "1", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "too few images" in result.stderr
    assert "and 1 image; with --strict" in result.stderr and "1.png: cannot read it: tried" in result.stderr
