"""What a candidate is compared with: provisional heads, or the version, on images that it has not learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_studio_stand_in import PROJECT
from simulated_data import write_scenes
from version_samples import JUDGEMENT, real_checkpoint, store_version

from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.snapshot import Snapshot, snapshot_of_coco, write_snapshot
from fbnetv3.finetuning.cross_fitting import LeftOut
from fbnetv3.folds import FOLD, FOLD_WEIGHTS
from fbnetv3.judging import ImageOutcome, Judgement, Served
from fbnetv3.scenes import SCENE_LABELS
from fbnetv3.weights import Checkpoint, write_checkpoint
from prelabel.folders import project_folder, run_folder
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion
from prelabel.store.run_progress import request_run
from prelabel.store.runs import Run
from prelabel.store.version_details import Provenance, VersionJudgement, VersionPlan
from prelabel.training.served import WhatServes

OUTCOME = ImageOutcome(4, 1, 2, 3)
TRAIN, HELD_OUT = (1, 2, 3, 4), (5,)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Five images, the last one held out."""
    folder = tmp_path_factory.mktemp("scenes")
    return snapshot_of_coco(read_data_set(write_scenes(folder, [None] * 5), folder))


@pytest.fixture
def settings(tmp_path: Path, bare_environment: None) -> Settings:
    """With base weights that call everything otherwise than the project."""
    base = tmp_path / "base.safetensors"
    write_checkpoint(real_checkpoint(("thing", "other")), base)
    return load_settings(prelabel_home=tmp_path, prelabel_weights=str(base), prelabel_engine="torch")


def config(labels: Mapping[str, Sequence[str]]) -> str:
    """Label -> the model's labels for it."""
    rows = "".join(
        f'<Label value="{label}" predicted_values="{",".join(names)}"/>' for label, names in labels.items()
    )
    return f'<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i">{rows}</BrushLabels></View>'


def part(snapshot: Snapshot, *numbers: int) -> Snapshot:
    """The snapshot as it was when only these images were labelled."""
    of = {"images": "id", "annotations": "image_id"}
    data = {key: [one for one in snapshot.data[key] if one[number] in numbers] for key, number in of.items()}
    return Snapshot(snapshot.file, snapshot.images, snapshot.data | data)


def serve_version(
    settings: Settings,
    database: Database,
    learnt: Snapshot,
    judgement: Judgement = JUDGEMENT,
    checkpoint: Checkpoint | None = None,
    run_id: int | None = None,
    **plan: Any,
) -> None:
    """A version that learnt from this snapshot, which is kept in the project's folder."""
    folder = project_folder(settings, PROJECT) / "snapshots"
    write_snapshot(learnt.data, learnt.images, folder / f"{learnt.digest}.json")
    version = store_version(
        settings,
        database,
        run_id,
        checkpoint or real_checkpoint(SCENE_LABELS),
        judgement=VersionJudgement(judgement),
        snapshot_digest=learnt.digest,
        plan=VersionPlan(**plan),
    )
    add_promotion(database, PROJECT, version, "better")


def served(
    settings: Settings, database: Database, snapshot: Snapshot, label_config: str | None = None
) -> Served | None:
    asked = label_config or config(dict.fromkeys(snapshot.labels, ()))
    return WhatServes(settings, database, PROJECT, lambda: asked).on(snapshot, snapshot.keys, lambda: None)


def known(found: Served | None) -> tuple[set[str], Mapping[str, ImageOutcome]]:
    assert found is not None
    return set(found.findings), found.remembered


def of(snapshot: Snapshot, *numbers: int) -> set[str]:
    """The keys of images by their numbers."""
    order = [*TRAIN, *HELD_OUT]
    return {snapshot.keys[order.index(number)] for number in numbers}


def remembering(keys: Sequence[str]) -> Judgement:
    return replace(JUDGEMENT, keys=tuple(keys), outcomes=(OUTCOME,) * len(keys))


def test_without_a_version_provisional_heads_are_compared_with(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    """They know the project's labels, which the base weights do not."""
    heard: list[int] = []
    asked = config(dict.fromkeys(snapshot.labels, ()))
    found = WhatServes(settings, database, PROJECT, lambda: asked).on(
        snapshot, snapshot.keys, lambda: heard.append(1)
    )
    assert found is not None and tuple(found.findings) == snapshot.keys and len(heard) == 5
    assert any(one.results for one in found.findings.values())
    assert found.thresholds is None and not found.remembered


def test_a_version_looks_at_new_images_and_remembers_old_ones(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    own = part(snapshot, 1, 2, 5)
    serve_version(settings, database, own, remembering(own.keys))
    findings, remembered = known(served(settings, database, snapshot))
    assert findings == of(snapshot, 3, 4)
    assert remembered == dict.fromkeys(of(snapshot, 1, 2, 5), OUTCOME)


def test_of_many_images_it_learnt_from_all_and_remembers_some(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    """A fold of many images leaves out every fifth."""
    own = part(snapshot, 1, 2, 5)
    serve_version(settings, database, own, remembering(own.keys[:1]))
    findings, remembered = known(served(settings, database, snapshot))
    assert findings == of(snapshot, 3, 4) and set(remembered) == of(snapshot, 1)


def test_an_image_whose_labels_were_corrected_is_a_new_one(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    own = part(snapshot, 1, 2, 5)
    moved = [one | {"bbox": [0, 0, 9, 9]} if one["image_id"] == 1 else one for one in own.data["annotations"]]
    old = Snapshot(own.file, own.images, own.data | {"annotations": moved})
    serve_version(settings, database, old, remembering(old.keys))
    assert known(served(settings, database, snapshot))[0] == of(snapshot, 1, 3, 4)


def test_a_version_of_a_single_image_learnt_from_it_whatever_its_task(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    """Nothing judged it; the image of a task that older releases held out is no new one."""
    serve_version(settings, database, part(snapshot, 5), Judgement(0, 0, 0, 0, None, None, 0, 0, ()))
    findings, remembered = known(served(settings, database, snapshot))
    assert findings == of(snapshot, *TRAIN) and not remembered


def test_heads_on_the_weights_of_another_version_have_no_folds_of_their_own(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    run = request_run(database, PROJECT, "a test")
    keep_folds(settings, run, {(0,): False})
    own, kept = part(snapshot, 1, 2, 5), Provenance(weights="p7-v1")
    serve_version(settings, database, own, remembering(own.keys), run_id=run.id, provenance=kept)
    found = served(settings, database, snapshot)
    assert found is not None and any(one.results for one in found.findings.values())


def test_its_folds_look_at_new_images_and_at_pictures_that_they_left_out(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    """So that a candidate, which its own folds stand for, is compared with what learnt as little."""
    own = part(snapshot, 1, 2, 5)
    moved = [one | {"bbox": [0, 0, 9, 9]} if one["image_id"] == 2 else one for one in own.data["annotations"]]
    old = Snapshot(own.file, own.images, own.data | {"annotations": moved})
    run = request_run(database, PROJECT, "a test")
    keep_folds(settings, run, {(0,): True, (1, 2): False})
    serve_version(settings, database, old, remembering(old.keys), run_id=run.id)
    found = served(settings, database, snapshot)
    assert found is not None
    sees = {key: bool(one.results) for key, one in found.findings.items()}
    assert sees == dict.fromkeys(of(snapshot, 3), True) | dict.fromkeys(of(snapshot, 2, 4), False)


def keep_folds(settings: Settings, run: Run, sees: Mapping[tuple[int, ...], bool]) -> None:
    """The folds of a run, by the places that they left out: whether they find anything."""
    for number, (places, finds) in enumerate(sees.items(), 1):
        checkpoint = real_checkpoint(SCENE_LABELS)
        if not finds:
            checkpoint = replace(checkpoint, settings=checkpoint.settings | {"score_threshold": 0.999})
        file = run_folder(settings, run) / f"{FOLD}{number}" / FOLD_WEIGHTS
        file.parent.mkdir(parents=True)
        LeftOut(checkpoint, places, 1.0).write(file)


def test_a_version_of_an_older_release_learnt_from_its_training_images_alone(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    serve_version(settings, database, part(snapshot, 1, 2, 5))
    assert known(served(settings, database, snapshot)) == (of(snapshot, 3, 4, 5), {})


@pytest.mark.parametrize("remembers", [True, False])
def test_where_its_snapshot_is_gone_held_out_images_are_surely_new(
    remembers: bool, settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    own = part(snapshot, 1, 2, 4)
    serve_version(settings, database, own, remembering(own.keys) if remembers else JUDGEMENT)
    for file in (project_folder(settings, PROJECT) / "snapshots").iterdir():
        file.unlink()
    findings, remembered = known(served(settings, database, snapshot))
    assert findings == of(snapshot, 5)
    assert set(remembered) == (of(snapshot, 1, 2, 4) if remembers else set())


def test_a_version_that_knows_no_label_of_the_project_is_compared_with_by_nobody(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    strange = real_checkpoint(("zebra", "gnu"))
    serve_version(settings, database, part(snapshot, 1), checkpoint=strange)
    assert served(settings, database, snapshot) is None


def test_its_operating_point_is_that_of_the_project_s_labels(
    settings: Settings, database: Database, snapshot: Snapshot
) -> None:
    """The lowest of a label that stands for several of the version's."""
    first, second, *others = SCENE_LABELS
    thresholds = {first: 0.6, second: 0.2} | dict.fromkeys(others, 0.5)
    serve_version(settings, database, part(snapshot, *TRAIN, *HELD_OUT), thresholds=thresholds)
    found = served(settings, database, snapshot, config({"vessel": [first, second], others[0]: []}))
    assert found is not None and found.thresholds == {"vessel": 0.2, others[0]: 0.5}
