"""`prelabel weights` as typed: what it prints, what it stores, how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import Result
from small_networks import FASTER_C4, small_network
from typer.testing import CliRunner

from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint
from fbnetv3.weights.zoo import ZOO
from prelabel.cli.weights import app


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PRELABEL_WEIGHTS_DIR", "MODEL_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home" / "models"


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    path = tmp_path / "mine.pth"
    torch.save({"model": small_network(FASTER_C4).state_dict()}, path)
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _line(result: Result, start: str) -> str:
    return next(line for line in result.output.splitlines() if line.startswith(start))


def test_list_shows_what_is_published_and_what_is_here(pth: Path, store: Path):
    assert _run("import", pth, "--name", "[bolts]").exit_code == 1
    assert _run("import", pth, "--name", "bolts").exit_code == 0
    (store / "broken.safetensors").write_text("not one")
    result = _run("list")

    assert result.exit_code == 0
    assert {line.split()[0] for line in result.output.splitlines()} >= {"starter", "bolts", *ZOO}
    assert _line(result, "mask_rcnn_fbnetv3a_C4").split()[1:4] == ["no", "23.05", "20.71"]
    assert _line(result, "coco").split()[1:4] == ["no", "2.5", "MiB"]
    assert _line(result, "bolts").split()[1] == "yes"
    assert _line(result, "bolts").split()[-1] == "faster_rcnn_fbnetv3a_dsmask_C4"
    assert "damaged" in _line(result, "broken")
    assert "Apache-2.0" in result.output
    assert str(store) in result.output


def test_import_then_show(pth: Path, tmp_path: Path):
    names = tmp_path / "names.txt"
    names.write_text("bolt\nnut [M4]\n\ngear\n", encoding="utf-8")
    result = _run("import", pth, "--labels", f"@{names}")
    assert result.exit_code == 0
    assert "mine.safetensors (faster_rcnn_fbnetv3a_dsmask_C4, boxes of 3 classes)" in result.output

    shown = _run("show", "mine")
    assert shown.exit_code == 0
    assert "3: bolt, nut [M4], gear" in shown.output
    assert load_checkpoint("mine").digest in shown.output
    assert f"{sum(tensor.numel() for tensor in small_network(FASTER_C4).parameters()):,}" in shown.output
    assert "imported from: mine.pth" in shown.output


def test_show_prints_settings_and_provenance(tmp_path: Path):
    checkpoint = Checkpoint(
        {"roi_heads.mask_head.x": torch.zeros(2)},
        "mask_rcnn_fbnetv3a_C4",
        ("a", "b"),
        settings={"min_size": 224},
        provenance={"trained on": "scenes"},
    )
    write_checkpoint(checkpoint, tmp_path / "a.safetensors")
    output = _run("show", tmp_path / "a.safetensors").output
    for text in ("mask_rcnn_fbnetv3a_C4", "boxes and masks", "min_size: 224", "trained on: scenes"):
        assert text in output


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [("a,b", "3 classes, but 2 labels were given"), ("a,b,b", "distinct"), ("@nowhere.txt", "nowhere.txt")],
)
def test_wrong_labels_fail_with_a_sentence(pth: Path, store: Path, labels: str, complaint: str):
    result = _run("import", pth, "--labels", labels)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert not store.exists()


def test_import_asks_for_force_to_replace(pth: Path):
    assert _run("import", pth).exit_code == 0
    refused = _run("import", pth)
    assert refused.exit_code == 1
    assert "there are weights called 'mine' already" in refused.stderr
    assert "--force" in refused.stderr
    assert _run("import", pth, "--force", "--labels", "x, y, z").exit_code == 0
    assert load_checkpoint("mine").labels == ("x", "y", "z")


def test_pull_takes_provisioned_weights_and_says_that_they_are_unverified(
    pth: Path, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
):
    pth.rename(tmp_path / "250414811_model_0399999.pth")
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(tmp_path))
    name = "faster_rcnn_fbnetv3a_dsmask_C4"

    assert "is here already" in _run("pull", name).output
    pulled = _run("pull", name, "--force")
    assert pulled.exit_code == 0
    assert (store / f"{name}.safetensors").is_file()
    assert "could not be verified" in pulled.output
    assert load_checkpoint(store / f"{name}.safetensors").provenance["sha256"] in pulled.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("pull", "cocoa"), "no weights called 'cocoa' are published"),
        (("show", "coco"), "prelabel weights pull coco"),
        (("show", "missing.pth"), "missing.pth cannot be read: No such file"),
        (("import", "missing.pth"), "missing.pth cannot be read: No such file"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], complaint: str):
    result = _run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_documentation_names_every_command_and_all_published_weights():
    text = (Path(__file__).parents[3] / "docs" / "weights.md").read_text()
    for command in app.registered_commands:
        assert f"prelabel weights {command.name or command.callback.__name__}" in text
    for entry in ZOO.values():
        assert f"`{entry.name}`" in text
        assert entry.box_ap is None or f"{entry.box_ap:.2f}" in text
        assert entry.published_file in text
