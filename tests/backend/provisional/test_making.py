"""A provisional version of accepted labels: what it finds, when there is none, and what goes wrong on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from label_studio_stand_in import PROJECT
from provisional_samples import Workplace, picture

from fbnetv3.files import write_whole
from prelabel.folders import project_folder
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.provisional import kept_regions, known_images
from prelabel.provisional.making import Made
from prelabel.store.provisional import kept_files, projects_to_make, provisional_version
from prelabel.versions import provisional
from prelabel.versions.loading import project_provisional
from prelabel.versions.own_versions import OwnVersions
from prelabel.versions.provisional import provisional_predictor


def made(workplace: Workplace) -> Made:
    found = workplace.maker.make(PROJECT)
    assert found
    return found


def files(workplace: Workplace) -> list[str]:
    folder = workplace.settings.model_folder / "provisional"
    return sorted(path.name for path in folder.glob("*.safetensors"))


def regions(workplace: Workplace) -> list[Path]:
    return sorted((project_folder(workplace.settings, PROJECT) / "provisional").glob("*"))


def test_labels_become_a_version_that_finds_them(workplace: Workplace) -> None:
    tasks = [workplace.add_task(seed) for seed in range(5)]
    for seed, task in enumerate(tasks[:4]):
        workplace.label(task, seed)
    found = made(workplace)
    assert (found.version.name, found.version.images) == ("p7-provisional-1", 4)
    assert found.version.base == workplace.base.version
    assert found.version.labels == ("Disc", "Box")
    assert found.last_task == tasks[3]
    assert projects_to_make(workplace.database) == {}

    predictor = project_provisional(workplace.settings, workplace.database, PROJECT, workplace.base)
    assert predictor and predictor.version == "p7-provisional-1"
    config = workplace.studio.project["label_config"]
    task = {"id": 9, "data": {"image": picture(2)}}
    [outcome] = predictor.predict([task], config, PROJECT)
    assert outcome.prediction["model_version"] == "p7-provisional-1"
    names = [one["value"]["rectanglelabels"] for one in outcome.prediction["result"]]
    assert names and set(map(tuple, names)) == {("Disc",)}
    [before] = workplace.base.predict([task], config, PROJECT)
    assert before.prediction["result"] == []


def test_the_same_labels_make_no_second_version(workplace: Workplace) -> None:
    workplace.label(workplace.add_task(1), 1)
    made(workplace)
    workplace.change()
    assert workplace.maker.make(PROJECT) is None
    assert projects_to_make(workplace.database) == {}
    assert len(files(workplace)) == 1


def test_each_image_is_viewed_once_for_its_labels(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewed: list[str] = []
    view = kept_regions.KeptRegions._view
    monkeypatch.setattr(
        kept_regions.KeptRegions,
        "_view",
        lambda self, image: viewed.append(image.sha256) or view(self, image),
    )
    tasks = [workplace.add_task(seed) for seed in range(3)]
    for seed, task in enumerate(tasks):
        workplace.label(task, seed)
        made(workplace)
    assert len(viewed) == 3
    workplace.label(tasks[0], 0, "Box")
    made(workplace)
    assert len(viewed) == 4 and viewed[3] == viewed[0]
    assert len(regions(workplace)) == 3, "those of the labels of before are gone"
    write_whole(b"damaged", regions(workplace)[0])
    workplace.label(workplace.add_task(4), 4)
    made(workplace)
    assert len(viewed) == 6


def test_without_labels_left_the_base_weights_answer(workplace: Workplace) -> None:
    task = workplace.add_task(1)
    workplace.label(task, 1)
    made(workplace)
    workplace.studio.tasks[task]["annotations"] = []
    workplace.change()
    assert workplace.maker.make(PROJECT) is None
    assert provisional_version(workplace.database, PROJECT) is None
    assert projects_to_make(workplace.database) == {}
    workplace.label(task, 1)
    assert made(workplace).version.name == "p7-provisional-2", "the very same again, under another name"


def test_a_project_that_asks_for_no_objects_has_none(workplace: Workplace) -> None:
    workplace.studio.project["label_config"] = (
        '<View><Image name="image" value="$image"/>'
        '<Choices name="c" toName="image"><Choice value="a"/><Choice value="b"/></Choices></View>'
    )
    workplace.label(workplace.add_task(1), 1)
    assert workplace.maker.make(PROJECT) is None
    assert projects_to_make(workplace.database) == {}


def test_a_config_that_cannot_be_read_and_a_project_that_is_gone_are_a_line(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    workplace.studio.project["label_config"] = "<View"
    workplace.label(workplace.add_task(1), 1)
    assert workplace.maker.make(PROJECT) is None
    assert workplace.maker.make(PROJECT + 1) is None
    assert projects_to_make(workplace.database) == {}
    assert [line.partition(":")[0] for line in caplog.messages] == ["project 7", "project 8"]


def test_an_image_that_cannot_be_had_is_a_line_once_and_left_out(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    workplace.label(workplace.add_task(1, "data:image/png;base64,AAAA"), 1)
    workplace.label(workplace.add_task(2), 2)
    assert made(workplace).version.images == 1
    workplace.label(workplace.add_task(3), 3)
    assert made(workplace).version.images == 2
    [said] = [line for line in caplog.messages if "left out of the provisional version" in line]
    assert "task 1, image" in said
    assert projects_to_make(workplace.database) == {}


def test_an_image_for_want_of_label_studio_is_tried_again(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_images, "MISSING_SECONDS", 0.0)
    away = workplace.add_task(1, "/data/upload/7/away.png")
    workplace.studio.refuse("GET /data/upload/7/away.png", 503)
    workplace.label(away, 1)
    workplace.label(workplace.add_task(2), 2)
    assert made(workplace).version.images == 1
    assert projects_to_make(workplace.database) == {PROJECT: 2}


def test_a_label_studio_that_is_away_changes_nothing(workplace: Workplace) -> None:
    workplace.label(workplace.add_task(1), 1)
    made(workplace)
    workplace.change()
    workplace.studio.refuse(f"GET /api/projects/{PROJECT}/export", 502)
    with pytest.raises(LabelStudioError):
        workplace.maker.make(PROJECT)
    assert projects_to_make(workplace.database) == {PROJECT: 2}
    assert provisional_version(workplace.database, PROJECT)


def test_killed_between_file_and_row_it_is_made_again_under_another_number(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    workplace.label(workplace.add_task(1), 1)
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(provisional, "put_version", killed)
        workplace.maker.make(PROJECT)
    assert provisional_version(workplace.database, PROJECT) is None
    assert projects_to_make(workplace.database) == {PROJECT: 1}
    assert made(workplace).version.name == "p7-provisional-2"


def test_the_last_two_files_are_kept(workplace: Workplace) -> None:
    for seed in range(4):
        workplace.label(workplace.add_task(seed), seed)
        made(workplace)
    assert [name.rpartition("-")[0] for name in files(workplace)] == ["p7-provisional-3", "p7-provisional-4"]
    assert sorted(kept_files(workplace.database, PROJECT)) == files(workplace)
    for name in ("p7-provisional-3", "p7-provisional-4"):
        found = provisional_predictor(workplace.settings, workplace.database, name, workplace.base)
        assert found.version == name


def test_a_file_that_changed_is_made_again(workplace: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    workplace.label(workplace.add_task(1), 1)
    made(workplace)
    [file] = (workplace.settings.model_folder / "provisional").glob("*.safetensors")
    file.write_bytes(b"damaged")
    assert made(workplace).version.name == "p7-provisional-2"
    assert "p7-provisional-1 is made again" in caplog.text


def test_its_names_are_prelabels_own(workplace: Workplace) -> None:
    workplace.label(workplace.add_task(1), 1)
    made(workplace)
    own = OwnVersions.of_project(workplace.settings, workplace.database, PROJECT, [])
    assert "p7-provisional-1" in own
    assert "p7-provisional-2" not in own and "p8-provisional-1" not in own
    assert own.lookalikes(["p8-provisional-1", "else"]) == ["p8-provisional-1"]


def test_the_features_of_an_image_serve_every_version(workplace: Workplace) -> None:
    """So that a click on an image that was opened under the version before does not view it again."""
    workplace.label(workplace.add_task(1), 1)
    made(workplace)
    predictor = project_provisional(workplace.settings, workplace.database, PROJECT, workplace.base)
    assert predictor and predictor.viewer is workplace.base.viewer
    features = workplace.base.detector.set_image(np.zeros((64, 64, 3), np.uint8))
    assert predictor.detector.find([features])
