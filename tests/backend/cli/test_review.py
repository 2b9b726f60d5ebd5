"""`prelabel review` as typed, on COCO files; on projects it is tested against the real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from simulated_data import write_scenes
from typer.testing import CliRunner

from prelabel.cli import app


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes; the largest object is not labelled."""
    file = write_scenes(tmp_path_factory.mktemp("scenes"), [None] * 3)
    data = json.loads(file.read_text())
    data["annotations"].remove(max(data["annotations"], key=lambda one: one["area"]))
    file.write_text(json.dumps(data))
    return file


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, bare_environment: None, tmp_path: Path) -> None:
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def review(annotations: Path, *options: str | Path) -> Result:
    given = ("review", "--coco", annotations, "--images", annotations.parent, "--quick", *options)
    return CliRunner().invoke(app, [str(one) for one in given])


def overlooked(out: Path) -> list[str]:
    found = json.loads((out / "findings.json").read_text())["findings"]
    return [one["id"] for one in found if one["kind"] == "overlooked"]


def test_a_review_is_shown_written_and_decided_about(annotations: Path, tmp_path: Path) -> None:
    before, out = annotations.read_bytes(), tmp_path / "out"
    result = review(annotations, "--out", out)
    assert result.exit_code == 0, result.output
    assert "judged 3 images" in result.stdout and "overlooked" in result.stdout
    assert sorted(path.name for path in out.iterdir()) == ["findings.csv", "findings.json", "review.html"]
    first, *others = overlooked(out)
    assert first in result.stdout

    result = review(annotations, "--out", out, "--dismiss", first)
    assert (result.exit_code, result.stdout) == (0, f"{first} is dismissed\n")
    result = review(annotations, "--out", out)
    assert result.exit_code == 0 and first not in result.stdout and overlooked(out) == others
    assert annotations.read_bytes() == before


def test_the_table_can_be_shorter_than_the_files(annotations: Path, tmp_path: Path) -> None:
    result = review(annotations, "--out", tmp_path, "--top", "1", "--min-confidence", "0.2")
    found = json.loads((tmp_path / "findings.json").read_text())["findings"]
    assert len(found) > 1 and f"{len(found) - 1} more are in the files." in result.stdout
    assert found[0]["id"] in result.stdout and found[1]["id"] not in result.stdout


def test_nothing_is_written_without_a_folder(annotations: Path, tmp_path: Path) -> None:
    assert review(annotations).exit_code == 0
    assert not (tmp_path / "home").exists()
    assert sorted(path.suffix for path in annotations.parent.iterdir()) == [".json", *[".png"] * 3]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "give either --project, or --coco and --images"),
        (
            ["--project", "1", "--coco", "a.json", "--images", "."],
            "give either --project, or --coco and --images",
        ),
        (["--images", "."], "give either --project, or --coco and --images"),
        (["--coco", "a.json"], "the images of a.json are not known: give their folder by --images"),
        (["--coco", "missing.json", "--images", "."], "cannot read missing.json"),
        (["--coco", "a.json", "--images", ".", "--dismiss", "abc"], "--accept and --dismiss need --out"),
        (["--project", "1"], "LABEL_STUDIO_API_KEY"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["review", *options])
    assert result.exit_code == 1 and says in result.stderr
    assert result.stderr.strip().startswith("error: ") and "\n" not in result.stderr.strip()


def test_an_unknown_finding_is_named(annotations: Path, tmp_path: Path) -> None:
    result = review(annotations, "--out", tmp_path, "--accept", "abc")
    assert result.exit_code == 1 and "has no finding 'abc'" in result.stderr
