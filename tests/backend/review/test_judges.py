"""Who judges which image: nobody who has trained on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from label_studio_stand_in import PROJECT
from simulated_data import write_scenes
from version_samples import JUDGEMENT, real_checkpoint, store_version

from fbnetv3.data.coco import CocoExamples
from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.snapshot import snapshot_of_coco, write_snapshot
from fbnetv3.files import file_sha256
from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.finetuning.cross_fitting import LeftOut
from fbnetv3.folds import FOLD, FOLD_WEIGHTS
from fbnetv3.scenes import SCENE_LABELS
from fbnetv3.weights import load_checkpoint
from prelabel.folders import project_folder, run_folder
from prelabel.review.findings import ReviewError
from prelabel.review.judges import ImagePredictions, Judges, judge_coco, judge_project
from prelabel.review.review import find_in
from prelabel.review.subjects import Subjects, coco_subjects
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion
from prelabel.store.run_progress import request_run
from prelabel.store.version_details import VersionJudgement

SPLITS = ["train", "holdout", "train", "train", "holdout"]
BRIEF = FineTuningSettings(epochs=0.5, min_size=64, max_size=96, threads=1)
STARTER = "starter"


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), SPLITS)


@pytest.fixture
def scenes(annotations: Path) -> Subjects:
    return read(annotations)


def read(annotations: Path) -> Subjects:
    return coco_subjects(read_data_set(annotations, annotations.parent), annotations.name)


@pytest.fixture
def settings(tmp_path: Path, bare_environment: None) -> Settings:
    return load_settings(prelabel_home=tmp_path, prelabel_weights=STARTER)


@pytest.fixture
def judge(
    settings: Settings, database: Database, scenes: Subjects, tmp_path: Path
) -> Callable[..., ImagePredictions]:
    """Judges the scenes, or other subjects, as a project's."""

    def judged(subjects: Subjects = scenes, quick: bool = False) -> ImagePredictions:
        def sources_of(labels: Sequence[str]) -> dict[str, list[str]]:
            return {label: [label] for label in subjects.examples.labels if label in labels}

        judges = Judges(BRIEF, tmp_path / "review", quick)
        return judge_project(judges, settings, database, PROJECT, subjects, sources_of)

    return judged


def serve(settings: Settings, database: Database) -> None:
    version = store_version(settings, database, None, real_checkpoint(SCENE_LABELS))
    add_promotion(database, PROJECT, version, "test")


def test_before_the_first_version_the_base_weights_judge_everything(
    judge: Callable[..., ImagePredictions],
) -> None:
    judged = judge()
    assert sorted(judged.predictions) == [0, 1, 2, 3, 4]
    assert len(judged.by) == 1 and judged.by[0].startswith("starter-") and judged.notes == []


def test_a_version_judges_the_hold_out_and_cross_fitted_heads_the_rest(
    judge: Callable[..., ImagePredictions], settings: Settings, database: Database, tmp_path: Path
) -> None:
    serve(settings, database)
    judged = judge()
    assert sorted(judged.predictions) == [0, 1, 2, 3, 4]
    assert judged.by == [
        f"p{PROJECT}-v1 judged 2 images",
        "heads that were trained on the others (3 folds) judged 3 images",
    ]
    assert not (tmp_path / "review").exists(), "what the heads left is removed"


def test_the_folds_of_a_version_judge_what_it_learnt_from(
    judge: Callable[..., ImagePredictions], settings: Settings, database: Database, annotations: Path
) -> None:
    """Each what it left out; heads of its own learn only what no fold can judge."""
    data = json.loads(annotations.read_text())
    for image in data["images"]:
        image["sha256"] = file_sha256(annotations.parent / image["file_name"])
    file = annotations.with_name("known.json")
    file.write_text(json.dumps(data))
    learnt = snapshot_of_coco(read_data_set(file, file.parent))
    write_snapshot(
        learnt.data,
        learnt.images,
        project_folder(settings, PROJECT) / "snapshots" / f"{learnt.digest}.json",
    )
    run = request_run(database, PROJECT, "a test")
    for number, places in enumerate(((0, 2), (1,)), 1):
        weights = run_folder(settings, run) / f"{FOLD}{number}" / FOLD_WEIGHTS
        weights.parent.mkdir(parents=True)
        LeftOut(real_checkpoint(SCENE_LABELS), places, 1.0).write(weights)
    judged_on = replace(JUDGEMENT, keys=learnt.keys[:3])
    version = store_version(
        settings,
        database,
        run.id,
        real_checkpoint(SCENE_LABELS),
        judgement=VersionJudgement(judged_on),
        snapshot_digest=learnt.digest,
    )
    add_promotion(database, PROJECT, version, "test")
    judged = judge(
        Subjects("project 7", "project 7", CocoExamples(data, annotations.parent, with_empty=True))
    )
    assert sorted(judged.predictions) == [0, 1, 2, 3, 4]
    name = f"p{PROJECT}-v1"
    assert judged.by == [
        f"fold 1 of {name} judged 2 images",
        f"fold 2 of {name} judged 1 image",
        "heads that were trained on the others (2 folds) judged 2 images",
    ]


def test_two_reviews_at_once_do_not_spoil_each_other(
    judge: Callable[..., ImagePredictions], settings: Settings, database: Database, tmp_path: Path
) -> None:
    serve(settings, database)
    with FileLock(tmp_path / "review.lock"), pytest.raises(ReviewError, match="another review"):
        judge()


def test_quickly_means_the_hold_out_alone(
    judge: Callable[..., ImagePredictions], settings: Settings, database: Database
) -> None:
    serve(settings, database)
    judged = judge(quick=True)
    assert sorted(judged.predictions) == [1, 4]
    assert judged.notes == ["3 images that were trained on were left out, for speed"]


def test_the_same_file_is_held_out_under_every_task(annotations: Path) -> None:
    data = json.loads(annotations.read_text())
    data["images"][0]["file_name"] = data["images"][1]["file_name"]
    examples = CocoExamples(data, annotations.parent, with_empty=True)
    assert Subjects("project 7", "project 7", examples).held_out == [0, 1, 4]


def test_labels_that_the_base_weights_do_not_know_are_judged_by_who_learns_them(
    judge: Callable[..., ImagePredictions], annotations: Path
) -> None:
    data = json.loads(annotations.read_text())
    used = {one["category_id"] for one in data["annotations"]}
    for category in data["categories"]:
        category["name"] = "quince" if category["id"] == min(used) else category["name"]
    file = annotations.with_name("quince.json")
    file.write_text(json.dumps(data))
    strange = read(file)
    assert judge(strange).by == ["heads that were trained on the others (3 folds) judged 5 images"]
    [note] = judge(strange, quick=True).notes
    assert "does not know quince: objects of these were not judged" in note


def test_weights_that_know_no_label_cannot_judge_quickly(scenes: Subjects, tmp_path: Path) -> None:
    judges = Judges(BRIEF, tmp_path, quick=True)
    with pytest.raises(ReviewError, match="know none of the labels"):
        judge_coco(judges, scenes, real_checkpoint())


def test_a_dropped_label_is_found_in_a_coco_file(annotations: Path, tmp_path: Path) -> None:
    data = json.loads(annotations.read_text())
    largest = max(data["annotations"], key=lambda one: one["area"])
    data["annotations"].remove(largest)
    file = annotations.with_name("dropped.json")
    file.write_text(json.dumps(data))
    subjects = read(file)
    judged = judge_coco(Judges(BRIEF, tmp_path, quick=True), subjects, load_checkpoint(STARTER))
    found = [one for one in find_in(subjects, judged, 0.5) if one.kind == "overlooked"]
    index = [image["id"] for image in data["images"]].index(largest["image_id"])
    assert found[0].image_ref == subjects.image_refs[index] and found[0].regions == ()
