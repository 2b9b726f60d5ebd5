"""A project's run, `prelabel train` and a simulation come to the same decision on the same candidate and images."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from simulated_data import FakeTrainer, write_scenes
from typer.testing import CliRunner

from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.snapshot import is_held_out, snapshot_of_coco
from fbnetv3.finetuning import FineTuned, FineTuningSettings, report
from fbnetv3.finetuning.plan import Outlines, make_plan
from fbnetv3.judging import NOTHING, Effort
from fbnetv3.judging.calibration import IDENTITY, calibration_in
from fbnetv3.judging.operating_point import IN_WEIGHTS, thresholds_in
from fbnetv3.simulation import Replay, ReplayData, SimulationSettings
from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint
from prelabel.cli import app
from prelabel.labels.usefulness import effort_of
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.training.judging import CANDIDATE_PLAN, CANDIDATE_WEIGHTS, RunJudge
from prelabel.training.training_run import CandidateEvaluation
from prelabel.versions.loading import base_predictor

IMAGES = 13
"""Of these, three are held out."""

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
    assert sum(map(is_held_out, range(1, IMAGES + 1))) == 3
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


def by_a_run(annotations: Path, home: Path, database: Database) -> CandidateEvaluation:
    snapshot = snapshot_of_coco(read_data_set(annotations, annotations.parent))
    write_checkpoint(at_size(CANDIDATE), home / CANDIDATE_WEIGHTS)
    (home / CANDIDATE_PLAN).write_text("{}")
    labels = "".join(f'<Label value="{label}"/>' for label in snapshot.labels)
    config = (
        f'<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i">{labels}</BrushLabels></View>'
    )
    judge = RunJudge(load_settings(), database, 7, home, lambda: config)
    return judge.judge(snapshot, lambda *_: None)


def by_the_command(annotations: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder."""

    def tuned(start: Checkpoint, train, *_, **__) -> FineTuned:
        plan = make_plan(start, Outlines.of(train), FineTuningSettings())
        return FineTuned(at_size(CANDIDATE), plan, 1.0, 1)

    monkeypatch.setattr(report, "fine_tune", tuned)
    out = home / "out"
    files = ("--coco", annotations, "--images", annotations.parent, "--weights", home / "serving.safetensors")
    result = CliRunner().invoke(app, [str(one) for one in ("train", *files, "--out", out, "--threads", "1")])
    assert result.exit_code == 0, result.output
    return out


def by_a_simulation(annotations: Path, home: Path, effort: Effort) -> tuple[bool, str]:
    ids = tuple(range(1, IMAGES + 1))
    found = read_data_set(annotations, annotations.parent)
    data = ReplayData(found.learnable(), found.images, ids, ids[:1], "one of them")
    settings = SimulationSettings((IMAGES,), 1, "file", score_threshold=THRESHOLD, effort=effort)
    _, [result] = Replay(
        data, at_size(SERVING), settings, home / "sim", FakeTrainer([at_size(CANDIDATE)])
    ).run()
    return result.promoted, result.reason


def test_all_three_decide_alike_by_the_efforts_of_the_settings(
    annotations: Path, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = by_a_run(annotations, home, database)
    with monkeypatch.context() as usual:
        for name in UNUSUAL:
            usual.delenv(name)
        promoted = by_a_run(annotations, home, database)
    assert promoted.promoted and not run.promoted, "the settings decide here"
    assert promoted.judgement.objects is not None
    assert max(promoted.plan.thresholds.values()) < min(run.plan.thresholds.values()) == NOTHING

    out = by_the_command(annotations, home, monkeypatch)
    written = json.loads((out / "judgement.json").read_text())
    assert written["verdict"] == {"promoted": run.promoted, "reason": run.reason}
    assert by_a_simulation(annotations, home, effort_of(load_settings())) == (run.promoted, run.reason)

    assert run.plan.calibration is not None and run.plan.calibration.regions
    assert written["calibration"] == run.plan.calibration.as_dict()
    weights = out / "weights.safetensors"
    assert calibration_in(weights) == run.plan.calibration
    serving = base_predictor(load_settings(prelabel_weights=str(weights)))
    assert serving.calibration == run.plan.calibration
    assert written["thresholds"] == thresholds_in(weights) == serving.thresholds == run.plan.thresholds
    assert thresholds_in(annotations) is thresholds_in(home / "serving.safetensors") is None
    assert calibration_in(annotations) == calibration_in(home / "serving.safetensors") == IDENTITY


def test_what_serves_is_judged_at_the_thresholds_of_its_file(
    annotations: Path, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = snapshot_of_coco(read_data_set(annotations, annotations.parent)).labels
    own = dict.fromkeys(labels, 0.65) | {labels[0]: NOTHING}
    serving = at_size(SERVING)
    provenance = serving.provenance | {IN_WEIGHTS: json.dumps(own)}
    write_checkpoint(replace(serving, provenance=provenance), home / "serving.safetensors")
    run = by_a_run(annotations, home, database)
    assert run.judgement.serving is not None and run.judgement.serving.thresholds == own
    written = json.loads((by_the_command(annotations, home, monkeypatch) / "judgement.json").read_text())
    assert written["start"]["thresholds"] == own
