"""`--coco`, `--images` and `--strict` as typed: the same files for evaluate, train, simulate and review."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from simulated_data import write_scenes
from typer.testing import CliRunner

from prelabel.cli import app

SPLITS = ["train"] * 3 + ["val"]
TINY = ("--min-size", "64", "--max-size", "96", "--epochs", "0.5", "--threads", "1")
COMMANDS = {
    "evaluate": ("--engine", "torch", "--min-size", "64", "--max-size", "96"),
    "train": TINY,
    "simulate": (*TINY, "--rounds", "2", "--seeds", "1"),
    "review": ("--quick",),
}
"""Each with options that make it quick; a folder for results is given to those that need one."""


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), SPLITS)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, bare_environment: None, tmp_path: Path) -> None:
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def typed(command: str, tmp_path: Path, *options: object) -> Result:
    out = () if command == "evaluate" else ("--out", tmp_path / command)
    given = [command, *options, *COMMANDS[command], *out]
    return CliRunner().invoke(app, [str(one) for one in given])


def written(tmp_path: Path, data: Any) -> Path:
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(data))
    return file


def with_a_bad_label(annotations: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(annotations.read_text())
    data["annotations"][1] |= {"bbox": [10, 10, 0, 5], "segmentation": None}
    for label in data["annotations"]:
        label["id"] -= 1
    return data


@pytest.mark.parametrize("command", COMMANDS)
def test_one_bad_label_is_named_and_refuses_nothing_unless_asked(
    command: str, annotations: Path, tmp_path: Path
) -> None:
    file = written(tmp_path, with_a_bad_label(annotations))
    result = typed(command, tmp_path, "--coco", file, "--images", annotations.parent)
    assert result.exit_code == 0, result.output
    assert "left out: 1 label and 0 images; with --strict that is an error" in result.stderr
    assert "annotation 1: the bbox [10, 10, 0, 5] has no extent" in result.stderr
    strict = typed(command, tmp_path / "strict", "--coco", file, "--images", annotations.parent, "--strict")
    assert strict.exit_code == 1 and isinstance(strict.exception, SystemExit)
    assert "is refused because of --strict: annotation 1: the bbox" in strict.stderr
    assert len(strict.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_an_export_in_one_zip_needs_no_images(command: str, annotations: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    data = json.loads(annotations.read_text())
    with zipfile.ZipFile(file, "w") as archive:
        for image in data["images"]:
            archive.write(annotations.parent / image["file_name"], f"images/0a1b2c3d-{image['file_name']}")
            image["file_name"] = f"../data/media/upload/5/0a1b2c3d-{image['file_name']}"
        archive.writestr("result.json", json.dumps(data))
    result = typed(command, tmp_path, "--coco", file)
    assert result.exit_code == 0, result.output
    assert "left out" not in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"annotations": []}, "has no labelled object left: it has no annotations"),
        ({"annotations": [{"id": 7, "image_id": 1, "category_id": 0, "bbox": []}]}, "annotation 7: the bbox is []"),
        ({"categories": None}, "has no categories"),
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, "gone.png: cannot read it: tried"),
    ],
)  # fmt: skip
def test_no_object_is_an_error_in_a_sentence(
    command: str, change: dict[str, Any], says: str, annotations: Path, tmp_path: Path
) -> None:
    file = written(tmp_path, json.loads(annotations.read_text()) | change)
    result = typed(command, tmp_path, "--coco", file, "--images", annotations.parent)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert says in result.stderr.splitlines()[-1] and "-1.0000" not in result.stdout


def test_a_training_part_without_objects_is_refused(annotations: Path, tmp_path: Path) -> None:
    data = json.loads(annotations.read_text())
    held_out = {image["id"] for image in data["images"] if image["split"] == "val"}
    data["annotations"] = [label for label in data["annotations"] if label["image_id"] in held_out]
    file = written(tmp_path, data)
    result = typed("train", tmp_path, "--coco", file, "--images", annotations.parent)
    assert result.exit_code == 1 and "no labelled object in the 3 images to train on" in result.stderr
    assert not (tmp_path / "train" / "weights.safetensors").exists()


def test_evaluate_says_what_it_counted_and_matches_names_whatever_their_case(
    annotations: Path, tmp_path: Path
) -> None:
    data = json.loads(annotations.read_text())
    options = ("--images", annotations.parent, "--json")
    assert typed("evaluate", tmp_path, "--coco", annotations, *options, tmp_path / "a").exit_code == 0
    for category in data["categories"]:
        category["name"] = f" {category['name'].upper()} "
    result = typed("evaluate", tmp_path, "--coco", written(tmp_path, data), *options, tmp_path / "b")
    assert f"4 images, {len(data['annotations'])} labels" in result.stdout, result.output
    one, other = (json.loads((tmp_path / name).read_text()) for name in "ab")
    assert one["box"] == other["box"] and one["box"]["AP"] > 0 and one["objects"] == len(data["annotations"])


def test_a_training_is_compared_with_weights_whose_labels_are_spelled_otherwise(
    annotations: Path, tmp_path: Path
) -> None:
    data = json.loads(annotations.read_text())
    for category in data["categories"]:
        category["name"] = category["name"].upper()
    result = typed("train", tmp_path, "--coco", written(tmp_path, data), "--images", annotations.parent)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "train" / "judgement.json").read_text())["start"]["objects"] > 0
