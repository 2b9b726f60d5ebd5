"""`prelabel classify`: image files in, a table or JSON out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from classifier_weights import drawn_state, write_published
from PIL import Image
from typer.testing import CliRunner, Result

from fbnetv3.classification.classifier import Classifier
from fbnetv3.network.classifier import ClassifierNetwork
from fbnetv3.scenes import generate_scene
from fbnetv3.weights.zoo import CLASSIFIER_URL
from prelabel.cli import app


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("w") / "model.pth", drawn_state(ClassifierNetwork()))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One has brackets in its name, which are no markup."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / "a [red] cat.png", folder / "b.png"]
    for seed, path in enumerate(paths):
        Image.fromarray(generate_scene(seed, (130, 160)).image).save(path)
    return paths


@pytest.fixture
def run(bare_environment: None, monkeypatch: pytest.MonkeyPatch):
    """Runs the command with PyTorch, which needs no export."""
    monkeypatch.setenv("PRELABEL_ENGINE", "torch")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, ["classify", *map(str, arguments)])


def records(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_json_holds_what_the_classifier_says(run, photos: list[Path], weights: Path) -> None:
    paths = [photos[1], photos[0], photos[1]]
    found = records(run(*paths, "--weights", weights, "--top", 3, "--json"))
    expected = Classifier.load(weights, engine="torch").classify(paths, top=3)
    assert [one["image"] for one in found] == [str(path) for path in paths]
    assert [[(c["label"], c["score"]) for c in one["classes"]] for one in found] == expected


def test_the_table_shows_five_classes_of_each_image(
    run, photos: list[Path], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELABEL_CLASSIFIER_WEIGHTS", str(weights))
    result = run(*photos)
    assert result.exit_code == 0, result.stderr
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["image", "score", "class"] and len(lines) == 10
    expected = Classifier.load(weights, engine="torch").classify(photos)
    for line, (label, score) in zip(lines, expected[0] + expected[1], strict=True):
        assert f"{score:.3f}" in line and line.rstrip().endswith(label)
    assert lines[0].startswith(str(photos[0])) and lines[5].startswith(str(photos[1]))


def test_an_unreadable_image_costs_the_others_nothing(
    run, photos: list[Path], weights: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    result = run(broken, photos[0], tmp_path / "missing.jpg", "--weights", weights, "--json")
    assert result.exit_code == 1
    assert "broken.jpg: the file is not an image" in result.stderr
    assert "2 of 3 images could not be read" in result.stderr
    assert [one["image"] for one in json.loads(result.stdout)] == [str(photos[0])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], CLASSIFIER_URL),
        (["--weights", "nothing.pth"], "nothing.pth cannot be read: No such file"),
        (["--weights", __file__], "is damaged or is no PyTorch checkpoint"),
    ],
)
def test_errors_are_one_sentence(run, photos: list[Path], arguments: list[str], message: str) -> None:
    result = run(photos[0], *arguments)
    assert result.exit_code == 1
    assert message in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
