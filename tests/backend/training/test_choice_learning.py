"""A run that learns choices: alone, beside objects, after it was killed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from version_samples import real_checkpoint, store_version

from fbnetv3.data.snapshot import write_snapshot
from fbnetv3.detector import Detector
from fbnetv3.judging import GateDecision, comparison
from fbnetv3.weights import WeightsError, write_checkpoint
from prelabel.folders import project_folder
from prelabel.labelstudio.config.project import Project
from prelabel.publish.promotion import promote
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion
from prelabel.store.version_details import Provenance, VersionPlan
from prelabel.training.judging import CANDIDATE_PLAN, CANDIDATE_WEIGHTS
from prelabel.training.steps import LearningSteps
from prelabel.training.training_run import RunFailed
from prelabel.versions.loading import project_predictor
from prelabel.versions.records import (
    named_version,
    version_calibration,
    version_checkpoint,
    version_heads,
    version_weights,
)

PROJECT = 7
CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="tone" toName="image"><Choice value="red"/>'
    '<Choice value="blue"/></Choices><RectangleLabels name="r" toName="image"><Label value="Disc"/>'
    "</RectangleLabels></View>"
)


def no_progress(step: int, steps: int, seconds_left: float | None = None) -> None:
    assert 0 < step <= steps


@pytest.fixture
def settings(tmp_path: Path, bare_environment: None) -> Settings:
    """The base weights look at small images here."""
    return load_settings(
        prelabel_home=tmp_path / "home",
        prelabel_weights="starter",
        prelabel_engine="torch",
        prelabel_min_size=96,
        prelabel_max_size=128,
    )


class Runs:
    """Runs of one project whose labels are a snapshot: pictures that are red or blue, boxes on them if asked for."""

    def __init__(self, settings: Settings, database: Database, with_boxes: bool) -> None:
        self.settings = settings
        self.database = database
        folder = project_folder(settings, PROJECT)
        data = _snapshot_data(folder / "images", with_boxes)
        written = write_snapshot(data, folder / "images", folder / "snapshots" / "made.json")
        self.digest = written.digest
        written.file.rename(written.file.with_name(f"{self.digest}.json"))

    def steps(self, run_id: int) -> LearningSteps:
        """Those of a process of the run, which begins with what is on disk."""
        folder = project_folder(self.settings, PROJECT) / "runs" / str(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        run = SimpleNamespace(id=run_id, project_id=PROJECT)
        steps = LearningSteps(self.settings, self.database, run, folder)  # type: ignore[arg-type]
        steps._project = Project(PROJECT, {"label_config": CONFIG})  # else asked of Label Studio
        return steps

    def candidate(self, run_id: int) -> None:
        """As `train` leaves it."""
        folder = project_folder(self.settings, PROJECT) / "runs" / str(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CANDIDATE_PLAN).write_text(json.dumps({"start": "starter", "steps": 90}))
        write_checkpoint(real_checkpoint(("Disc",)), folder / CANDIDATE_WEIGHTS)


def _snapshot_data(images: Path, with_boxes: bool) -> dict[str, Any]:
    images.mkdir(parents=True)
    records, boxes = [], []
    for number in range(1, 15):
        pixels = np.random.default_rng(number).integers(0, 60, (60, 80, 3)).astype(np.uint8)
        is_red = number % 2
        pixels[..., 0 if is_red else 2] += 150
        Image.fromarray(pixels).save(images / f"{number}.png")
        records.append(
            {
                "id": number,
                "file_name": f"{number}.png",
                "height": 60,
                "width": 80,
                "split": "train" if number <= 8 else "holdout",
                "image_labels": {"tone": ["red" if is_red else "blue"]},
            }
        )
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [5, 5, 30, 30]})
    heads = [{"name": "tone", "classes": ["red", "blue"], "multi_label": False}]
    categories = [{"id": 1, "name": "Disc"}]
    return {
        "images": records,
        "annotations": boxes if with_boxes else [],
        "categories": categories,
        "image_heads": heads,
    }


def test_choices_alone_make_a_version_of_the_base_weights(settings: Settings, database: Database) -> None:
    runs = Runs(settings, database, with_boxes=False)
    steps = runs.steps(1)
    steps.train(runs.digest, no_progress)
    told: list[tuple[int, int]] = []
    judged = steps.judge(runs.digest, lambda step, steps, seconds_left=None: told.append((step, steps)))
    total = 8 + 2 * 6  # to learn from, and to judge what serves and what was learnt
    assert told[:2] == [(1, total), (2, total)] and max(told) <= (total, total)
    assert judged.promoted and "tone right without a click 100%" in judged.reason
    again = runs.steps(1)
    again.train(runs.digest, no_progress)
    assert again.judge(runs.digest, no_progress) == judged, "killed before the decision was written"

    name = runs.steps(1).make_version(runs.digest, judged)
    assert runs.steps(1).make_version(runs.digest, judged) == name == "p7-v1"
    version = named_version(database, name)
    [head] = version_heads(settings, version)
    assert head.spec.classes == ("red", "blue")
    assert version.judgement.choices.heads[0].accuracy == 1.0
    checkpoint = version_checkpoint(settings, version)
    assert (checkpoint.settings["min_size"], checkpoint.settings["max_size"]) == (96, 128)

    add_promotion(database, PROJECT, version, "better")
    predictor = project_predictor(settings.model_copy(update={"prelabel_min_size": None}), database, PROJECT)
    [control] = predictor.capabilities.answerable(predictor.label_spec(CONFIG))
    assert control.from_name == "tone"


def test_an_equal_second_run_is_rejected(settings: Settings, database: Database) -> None:
    runs = Runs(settings, database, with_boxes=False)
    judged = runs.steps(1).judge(runs.digest, no_progress)
    name = runs.steps(1).make_version(runs.digest, judged)
    add_promotion(database, PROJECT, named_version(database, name), "better")
    second = runs.steps(2).judge(runs.digest, no_progress)
    assert not second.promoted and second.reason.startswith("Not better")
    assert second.plan.provenance.weights == "p7-v1"
    assert runs.steps(2).make_version(runs.digest, second) == "p7-v2"


@pytest.mark.parametrize("objects_are_better", [True, False])
def test_heads_belong_to_the_weights_that_they_are_stored_with(
    objects_are_better: bool, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(settings, database, with_boxes=True)
    runs.candidate(1)
    decision = GateDecision(objects_are_better, "By decree.")
    monkeypatch.setattr(comparison, "decide", lambda *_: decision)
    judged = runs.steps(1).judge(runs.digest, no_progress)
    assert judged.promoted
    weights = "these" if objects_are_better else "the serving"
    assert judged.reason.startswith(f"Objects: By decree. Choices with {weights} weights: Better")

    version = named_version(database, runs.steps(1).make_version(runs.digest, judged))
    labels = version_checkpoint(settings, version).labels
    assert (labels[0] == "Disc") is objects_are_better
    assert ("steps" in version.plan.fine_tuning) is objects_are_better
    assert version_calibration(version) == version.plan.calibration
    objects = version.judgement.objects
    assert version_calibration(version).regions == (len(objects.regions) if objects else 0)
    assert version.plan.thresholds == (objects.thresholds if objects and objects_are_better else {})
    detector = Detector.load(version_weights(settings, version), engine="torch")
    [head] = version_heads(settings, version)
    assert head.weight.shape[1] == _pooled(detector).shape[1]
    shown = [head.spec.classes[row.argmax()] for row in head.probabilities(_pooled(detector))]
    assert shown == ["red", "blue"]


def _pooled(detector: Detector) -> np.ndarray:
    from fbnetv3.classification.linear_head import pool

    images = np.zeros((2, 60, 80, 3), np.uint8)
    images[0, ..., 0] = images[1, ..., 2] = 180
    images += 30
    return np.stack([pool(detector.set_image(image).maps) for image in images])


def test_heads_are_not_stored_with_other_base_weights(settings: Settings, database: Database) -> None:
    runs = Runs(settings, database, with_boxes=False)
    judged = runs.steps(1).judge(runs.digest, no_progress)
    moved = replace(judged, plan=VersionPlan(provenance=Provenance(weights="coco-0123456789ab")))
    with pytest.raises(RunFailed, match="no longer coco-0123456789ab"):
        runs.steps(1).make_version(runs.digest, moved)


def test_heads_that_are_gone_stop_a_promotion(settings: Settings, database: Database) -> None:
    runs = Runs(settings, database, with_boxes=False)
    judged = runs.steps(1).judge(runs.digest, no_progress)
    version = named_version(database, runs.steps(1).make_version(runs.digest, judged))
    version_weights(settings, version).with_name("heads.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        version_heads(settings, version)
    with pytest.raises(WeightsError, match="cannot be read"):
        promote(settings, database, None, version)


@pytest.mark.parametrize("with_boxes", [True, False], ids=["objects", "choices only"])
def test_training_from_a_serving_version_whose_file_is_missing_is_one_sentence(
    settings: Settings, database: Database, with_boxes: bool
) -> None:
    version = store_version(settings, database, 1, real_checkpoint())
    add_promotion(database, PROJECT, version, "better")
    file = version_weights(settings, version)
    file.unlink()
    runs = Runs(settings, database, with_boxes=with_boxes)
    with pytest.raises(RunFailed) as caught:
        runs.steps(2).train(runs.digest, no_progress)
        runs.steps(2).judge(runs.digest, no_progress)
    assert str(caught.value).startswith(
        f"the weights of p7-v1, {file}, cannot be read (No such file or directory): "
    )
    assert "`prelabel versions rollback --project 7 NAME`" in str(caught.value)
