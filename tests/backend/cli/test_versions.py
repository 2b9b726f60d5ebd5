"""`prelabel versions`: what is listed, shown, rolled back and exported, and how mistakes are worded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from label_studio_stand_in import PROJECT
from provisional_samples import store_head
from typer.testing import CliRunner, Result
from version_samples import JUDGEMENT, store_version
from weights_samples import small_checkpoint

from fbnetv3.classification.heads_file import read_heads
from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.judging import NOTHING, Calibration, ChoiceOutcome, HeadJudgement, HeadsJudgement
from fbnetv3.judging.calibration import calibration_in
from fbnetv3.judging.operating_point import thresholds_in
from fbnetv3.weights import load_checkpoint, write_checkpoint
from fbnetv3.weights.safetensors_file import read_safetensors
from prelabel.cli import app
from prelabel.publish import promotion
from prelabel.publish.promotion import promote
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import newest_promotion
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.versions.records import serving_version


@pytest.fixture
def database(tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The store that the commands open, with a retired, a serving and a rejected version."""
    write_checkpoint(small_checkpoint(), tmp_path / "tiny.safetensors")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_WEIGHTS", str(tmp_path / "tiny.safetensors"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(promotion, "load_version", lambda settings, version: None)
    settings = load_settings()
    database = Database.open(settings.database_url)
    for run in (1, 2):
        promote(settings, database, None, store_version(settings, database, run))
    worse = VersionJudgement(replace(JUDGEMENT, box_AP50=0.125))
    store_version(settings, database, 3, promoted=False, judgement=worse, reason="AP50 fell [badly]")
    yield database
    database.close()


@pytest.fixture
def run(database: Database) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, ["versions", *arguments])


def test_the_list_has_every_version_with_its_figures(run):
    lines = run("list", "--project", str(PROJECT)).output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["p7-v3", "rejected"],
        ["p7-v2", "serving"],
        ["p7-v1", "retired"],
    ]
    assert lines[1].split()[4:] == ["12", "0.125", "-", "0.750", "0.250"]


@pytest.mark.parametrize("fault", ["gone", "changed", "no folder"])
def test_a_serving_version_whose_file_is_missing_is_told(run, fault):
    settings = load_settings()
    [file] = settings.model_folder.glob("versions/p7-v2-*/weights.safetensors")
    if fault == "gone":
        file.unlink()
    elif fault == "changed":
        file.write_bytes(b"x")
    else:
        shutil.rmtree(file.parent)
    listed, shown = run("list", "--project", str(PROJECT)), run("show", "p7-v2")
    why = (
        "are not those that were stored"
        if fault == "changed"
        else "cannot be read (No such file or directory)"
    )
    said = f"The base weights answer in the place of p7-v2: the weights of p7-v2, {file}, {why}. Put the file back"
    assert said in listed.output
    assert f"`prelabel versions rollback --project {PROJECT}`" in listed.output
    assert "serving, but the base weights answer in its place" in shown.output
    assert (listed.exit_code, shown.exit_code) == (0, 0)
    assert "The base weights answer" not in run("show", "p7-v1").output


def test_where_all_files_are_there_nothing_is_told(run):
    assert "base weights" not in run("list", "--project", str(PROJECT)).output


def test_a_retired_version_whose_file_is_missing_is_told_where_it_is_shown(run):
    [file] = load_settings().model_folder.glob("versions/p7-v1-*/weights.safetensors")
    file.unlink()
    assert "base weights" not in run("list", "--project", str(PROJECT)).output
    shown = " ".join(run("show", "p7-v1").output.split())
    assert "state retired made" in shown and "cannot be read" in shown


RIGHT, WRONG, TWO_RIGHT = ChoiceOutcome(1, 1, 0), ChoiceOutcome(1, 0, 1), ChoiceOutcome(2, 2, 0)
CHOICES = HeadsJudgement(
    (
        HeadJudgement("tone", multi_label=False, known=True, outcomes=(*[RIGHT] * 3, *[WRONG] * 3)),
        HeadJudgement("kind", multi_label=True, known=True, outcomes=(RIGHT, TWO_RIGHT)),
    )
)


@pytest.fixture
def answering(database: Database) -> str:
    """The name of a version that answers choices."""
    spec = HeadSpec("tone", ("red", "blue"), multi_label=False)
    head = LinearHead(spec, np.ones((2, 3), np.float32), np.zeros(2, np.float32))
    judgement = VersionJudgement(JUDGEMENT, choices=CHOICES)
    return store_version(load_settings(), database, 4, heads=[head], judgement=judgement).name


def test_choices_are_listed_where_a_version_has_some(run, answering):
    heading, newest, older, *_ = run("list", "--project", str(PROJECT)).output.splitlines()
    assert [line.split()[-1] for line in (heading, newest, older)] == ["choices", "0.625", "-"]


def test_choices_are_shown_with_their_figures(run, answering):
    lines = run("show", answering).output.splitlines()
    assert [line.split() for line in lines if line.startswith("choice tone")] == [
        ["choice", "tone", "red,", "blue"]
    ]
    shown = "\n".join(" ".join(line.split()) for line in lines)
    assert "tone: no click 0.500 of 6 images" in shown
    assert "kind: clicks 0.00 per image, 1.50 without" in shown
    assert "sha256" not in shown


def test_heads_are_exported_into_a_folder(run, answering, tmp_path):
    result = run("export", answering, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    [head] = read_heads(tmp_path / "out" / f"{answering}.heads.safetensors")
    assert head.spec.classes == ("red", "blue")
    assert run("export", answering, "--out", str(tmp_path / "one.pth")).exit_code == 0
    assert not list(tmp_path.glob("*.heads.*"))


def test_a_project_without_versions_is_served_by_the_base_weights(run):
    assert run("list", "--project", "8").output == "Project 8 is served by the base weights.\n"


def test_the_operating_point_is_shown(run, database):
    plan = VersionPlan(thresholds={"Disc": 0.45, "Wedge": NOTHING})
    name = store_version(load_settings(), database, 9, plan=plan).name
    lines = [" ".join(line.split()) for line in run("show", name).output.splitlines()]
    assert "shown from score Disc 0.45, Wedge never" in lines
    assert "shown from score" not in run("show", "p7-v1").output


def test_versions_are_shown_side_by_side(run):
    lines = run("show", "p7-v2", "p7-v3").output.splitlines()
    rows = {line[:12].strip(): line.split() for line in lines}
    assert rows["box AP50"][-2:] == ["0.812", "0.125"]
    assert "AP50 fell [badly]" in "\n".join(lines)
    assert "bolt, nut, gear" in "\n".join(lines)
    assert any("min_size" in line and "128" in line for line in lines)


def test_rolling_back_is_kept_with_its_reason(run, database):
    result = run("rollback", "--project", str(PROJECT), "--reason", "misses nuts")
    assert result.exit_code == 0, result.output
    assert "project 7 is served by p7-v1 now" in result.output
    assert serving_version(database, PROJECT).name == "p7-v1"
    assert newest_promotion(database, PROJECT).reason == "misses nuts"


@pytest.mark.parametrize(("name", "serving"), [("p7-v1", "p7-v1"), ("base", None)])
def test_rolling_back_to_a_name(run, database, name, serving):
    assert run("rollback", "--project", str(PROJECT), name).exit_code == 0
    version = serving_version(database, PROJECT)
    assert (version and version.name) == serving
    assert "nothing had to be changed" in run("rollback", "--project", str(PROJECT), name).output


def test_an_export_is_read_by_us_and_as_the_original_reads_it(run, tmp_path: Path):
    out = tmp_path / "exported"
    result = run("export", "p7-v2", "--out", str(out))
    assert result.exit_code == 0, result.output
    exported, wanted = read_safetensors(out / "p7-v2.safetensors"), small_checkpoint()
    assert (exported.digest, exported.settings) == (wanted.digest, wanted.settings)
    content = torch.load(out / "p7-v2.pth", weights_only=True)
    assert content.keys() == {"model", "iteration"}
    assert content["iteration"] == 90
    assert content["model"].keys() == wanted.state.keys()
    read = load_checkpoint(out / "p7-v2.pth")
    assert read.with_labels(wanted.labels).digest == wanted.digest
    assert "bolt, nut, gear" in result.output


def test_an_export_carries_the_operating_point_and_the_calibration(run, database: Database, tmp_path: Path):
    plan = VersionPlan(thresholds={"Disc": 0.45, "Wedge": NOTHING}, calibration=Calibration(0.5, 0.1, 12))
    name = store_version(load_settings(), database, 9, plan=plan).name
    assert run("export", name, "--out", str(tmp_path / "mine.safetensors")).exit_code == 0
    assert thresholds_in(tmp_path / "mine.safetensors") == {"Disc": 0.45, "Wedge": NOTHING}
    assert calibration_in(tmp_path / "mine.safetensors") == Calibration(0.5, 0.1, 12)


def test_one_file_is_exported_where_a_file_is_named(run, tmp_path: Path):
    assert run("export", "p7-v1", "--out", str(tmp_path / "one.pth")).exit_code == 0
    assert load_checkpoint(tmp_path / "one.pth").model == small_checkpoint().model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "p7-v9"], "there is no version 'p7-v9'"),
        (["export", "p7-v3", "--out", "x"], "the gate rejected it: AP50 fell [badly]"),
        (["rollback", "--project", "7", "p7-v3"], "p7-v3 never served, it is rejected"),
        (["rollback", "--project", "8", "p7-v1"], "p7-v1 is no version of project 8"),
        (["rollback", "--project", "8"], "project 8 has no serving version"),
        (["export", "p7-v2", "--out", "/proc/no"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture
def provisional(database: Database) -> int:
    """A project that has nothing but a provisional version."""
    store_head(load_settings(), database, "tiny-000000000000", PROJECT + 1)
    return PROJECT + 1


def test_a_provisional_version_is_listed_on_a_line_of_its_own(run, provisional):
    output = run("list", "--project", str(provisional)).output
    assert output.startswith("p8-provisional-1 is provisional: made of 2 labelled images at ")
    assert "in the place of the base weights tiny-000000000000 until the first promotion" in output
    assert "provisional" not in run("list", "--project", str(PROJECT)).output


def test_show_says_what_a_provisional_version_is(run, provisional):
    output = run("show", "p8-provisional-1").output
    assert "no run made it, and no gate judged it" in output
    assert "on the base weights tiny-000000000000" in output
    assert "2 labelled images (ffffffffffff)" in output and "Disc, Wheel" in output
    gone = run("show", "p8-provisional-2")
    assert gone.exit_code == 1 and "p8-provisional-2 is no provisional version by now" in gone.output


def test_rollback_and_export_know_no_provisional_versions(run, provisional):
    for command in (("rollback", "--project", str(provisional)), ("export", "--out", "x")):
        assert "there is no version 'p8-provisional-1'" in run(*command, "p8-provisional-1").output
