"""A project's run, `prelabel train` and a simulation come to the same decision on the same candidate and images."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path

import pytest
from label_studio_stand_in import PROJECT
from PIL import Image
from simulated_data import SIZE, FakeTrainer, cross_fitted, write_scenes
from typer.testing import CliRunner

from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.examples import Examples
from fbnetv3.data.snapshot import Snapshot, is_held_out, snapshot_of_coco, write_snapshot
from fbnetv3.finetuning import FineTuningSettings, report
from fbnetv3.finetuning.cross_fitting import CrossFitted
from fbnetv3.folds import FOLD, FOLD_WEIGHTS
from fbnetv3.judging import NOTHING
from fbnetv3.judging.calibration import IDENTITY, calibration_in
from fbnetv3.judging.operating_point import thresholds_in
from fbnetv3.simulation import Replay, ReplayData, RoundResult, SimulationSettings
from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint
from prelabel.cli import app
from prelabel.folders import project_folder
from prelabel.labels.usefulness import effort_of
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.training.judging import CANDIDATE_PLAN, CANDIDATE_WEIGHTS, RunJudge
from prelabel.training.training_run import CandidateEvaluation
from prelabel.versions.loading import base_predictor
from prelabel.versions.records import create_version

IMAGES = 8
FIRST = 5
"""Labelled images of a first run."""

THRESHOLD = 0.4
UNUSUAL = {
    "PRELABEL_SECONDS_CHECK": "600",
    "PRELABEL_SECONDS_DRAW_MASK": "1",
    "PRELABEL_SECONDS_DELETE": "0.5",
    "MODEL_SCORE_THRESHOLD": str(THRESHOLD),
}
"""Where right regions take so long to check, what finds more of them is worse. By default it is better."""


@cache
def at_size(min_size: int) -> Checkpoint:
    starter = load_checkpoint("starter")
    small = {"min_size": min_size, "max_size": min_size * 2, "post_nms_proposals_test": 20}
    return replace(starter, settings=starter.settings | small)


CANDIDATE, SERVING = 224, 96


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert any(map(is_held_out, range(1, FIRST + 1))), "which is nothing to them"
    return write_scenes(tmp_path_factory.mktemp("scenes"), [None] * IMAGES)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_environment: None) -> Path:
    """With what serves as the base weights, and people who work in an unusual way."""
    write_checkpoint(at_size(SERVING), tmp_path / "serving.safetensors")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRELABEL_WEIGHTS", str(tmp_path / "serving.safetensors"))
    for name, value in UNUSUAL.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def labelled(annotations: Path, count: int) -> Snapshot:
    """The first images."""
    whole = snapshot_of_coco(read_data_set(annotations, annotations.parent))
    of = {"images": "id", "annotations": "image_id"}
    data = {key: [one for one in whole.data[key] if one[number] <= count] for key, number in of.items()}
    return Snapshot(whole.file, whole.images, whole.data | data)


def by_a_run(
    annotations: Path, home: Path, database: Database, images: int, candidate: Checkpoint
) -> CandidateEvaluation:
    """Of a project with so many labelled images; the version that it makes serves if it is promoted."""
    settings, snapshot = load_settings(), labelled(annotations, images)
    folder = home / f"run{images}"
    shutil.rmtree(folder, ignore_errors=True)
    start = at_size(SERVING)
    fitted = cross_fitted(candidate, start, snapshot.everything, FineTuningSettings(), {})
    for number, fold in enumerate(fitted.folds):
        (folder / f"{FOLD}{number}").mkdir(parents=True)
        fold.write(folder / f"{FOLD}{number}" / FOLD_WEIGHTS)
    write_checkpoint(candidate, folder / CANDIDATE_WEIGHTS)
    (folder / CANDIDATE_PLAN).write_text("{}")
    labels = "".join(f'<Label value="{label}"/>' for label in snapshot.labels)
    config = (
        f'<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i">{labels}</BrushLabels></View>'
    )
    evaluation = RunJudge(settings, database, PROJECT, folder, lambda: config).judge(
        snapshot, lambda *_: None
    )
    if evaluation.promoted:
        serve(candidate, snapshot, settings, database, evaluation)
    return evaluation


def serve(
    checkpoint: Checkpoint,
    learnt: Snapshot,
    settings: Settings,
    database: Database,
    evaluation: CandidateEvaluation | None = None,
) -> None:
    """A version that learnt from these images, with the evaluation of its run."""
    kept = project_folder(settings, PROJECT) / "snapshots" / f"{learnt.digest}.json"
    write_snapshot(learnt.data, learnt.images, kept)
    version = create_version(
        settings,
        database,
        PROJECT,
        checkpoint,
        run_id=None,
        judgement=evaluation.judgement if evaluation else VersionJudgement(),
        reason="better",
        plan=evaluation.plan if evaluation else VersionPlan(),
        snapshot_digest=learnt.digest,
        promoted=True,
    )
    add_promotion(database, PROJECT, version, "better")


def by_the_command(annotations: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder."""

    def fitted(start: Checkpoint, images: Examples, folder: Path, settings, *, sources, **_) -> CrossFitted:
        return cross_fitted(at_size(CANDIDATE), start, images, settings, sources)

    monkeypatch.setattr(report, "cross_fit", fitted)
    out = home / "out"
    files = ("--coco", annotations, "--images", annotations.parent, "--weights", home / "serving.safetensors")
    result = CliRunner().invoke(app, [str(one) for one in ("train", *files, "--out", out, "--threads", "1")])
    assert result.exit_code == 0, result.output
    return out


def by_a_simulation(
    annotations: Path, home: Path, rounds: tuple[int, ...], answers: list[Checkpoint | Exception]
) -> list[RoundResult]:
    ids = tuple(range(1, IMAGES + 1))
    found = read_data_set(annotations, annotations.parent)
    data = ReplayData(found.learnable(), found.images, ids, ids[:1], "one of them")
    settings = SimulationSettings(
        rounds, 1, "file", score_threshold=THRESHOLD, effort=effort_of(load_settings())
    )
    return Replay(data, at_size(SERVING), settings, home / "sim", FakeTrainer(answers)).run()[1]


def test_runs_and_a_simulation_decide_alike_round_by_round(
    annotations: Path, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first candidate is compared with provisional heads; the second one with the first: on new images by what
    that finds, on those that it learnt from by what is remembered.
    """
    for name in UNUSUAL.keys() - {"MODEL_SCORE_THRESHOLD"}:
        monkeypatch.delenv(name)
    answers = [at_size(CANDIDATE), at_size(SERVING)]
    first, second = by_a_simulation(annotations, home, (FIRST, IMAGES), answers)
    runs = [
        by_a_run(annotations, home, database, images, answer)
        for images, answer in zip((FIRST, IMAGES), answers, strict=True)
    ]
    assert [(one.promoted, one.reason) for one in runs] == [
        (one.promoted, one.reason) for one in (first, second)
    ]
    assert first.promoted and not second.promoted, "the test needs a version that serves, and stays"
    assert runs[0].plan.thresholds == first.thresholds
    assert runs[0].plan.calibration == first.calibration
    judged = runs[0].judgement.objects
    assert judged is not None
    assert sorted(map(astuple, judged.by_key.values())) == sorted(map(astuple, first.remembered.values()))
    assert f"on {IMAGES} images" in second.reason


def test_a_run_and_the_command_decide_alike_by_the_efforts_of_the_settings(
    annotations: Path, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with weights that have learnt from none of the images."""
    serve(at_size(SERVING), elsewhere(annotations, home), load_settings(), database)
    run = by_a_run(annotations, home, database, IMAGES, at_size(CANDIDATE))
    out = by_the_command(annotations, home, monkeypatch)
    with monkeypatch.context() as usual:
        for name in UNUSUAL:
            usual.delenv(name)
        promoted = by_a_run(annotations, home, database, IMAGES, at_size(CANDIDATE))
    assert promoted.reason.startswith("Better: ") and not run.reason.startswith("Better: ")
    assert promoted.judgement.objects is not None
    assert max(promoted.plan.thresholds.values()) < max(run.plan.thresholds.values()) == NOTHING

    written = json.loads((out / "judgement.json").read_text())
    assert written["verdict"] == {"promoted": run.promoted, "reason": run.reason}
    assert run.plan.calibration is not None and run.plan.calibration.regions
    assert written["calibration"] == run.plan.calibration.as_dict()
    weights = out / "weights.safetensors"
    assert calibration_in(weights) == run.plan.calibration
    serving = base_predictor(load_settings(prelabel_weights=str(weights)))
    assert serving.calibration == run.plan.calibration
    assert written["thresholds"] == thresholds_in(weights) == serving.thresholds == run.plan.thresholds
    assert thresholds_in(annotations) is thresholds_in(home / "serving.safetensors") is None
    assert calibration_in(annotations) == calibration_in(home / "serving.safetensors") == IDENTITY


def elsewhere(annotations: Path, home: Path) -> Snapshot:
    """An image that is none of these."""
    folder = home / "elsewhere"
    folder.mkdir()
    other = labelled(annotations, 1)
    Image.new("RGB", SIZE).save(folder / "1.png")
    return Snapshot(other.file, folder, other.data)
