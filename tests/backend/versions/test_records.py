"""Versions: immutable, numbered once, whole or not there, found again by name, run and project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from version_samples import JUDGEMENT, real_checkpoint, store_version
from weights_samples import small_checkpoint

from fbnetv3.classification.linear_head import LinearHead
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.files import file_sha256
from fbnetv3.weights import WeightsError, load_checkpoint
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import (
    add_promotion,
    mark_published,
    mark_refreshed,
    newest_promotion,
    serving_names,
    unfinished_promotions,
)
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.store.versions import NewVersion, next_number
from prelabel.versions import files as version_files
from prelabel.versions import records as versions
from prelabel.versions.records import (
    VersionError,
    VersionState,
    load_version,
    named_version,
    project_versions,
    serving_version,
    version_checkpoint,
    version_heads,
    version_weights,
)

PROJECT = 7


@pytest.fixture
def settings(tmp_path: Path, bare_environment: None) -> Settings:
    return load_settings(prelabel_home=tmp_path / "home", prelabel_engine="torch", prelabel_min_size=64)


@pytest.fixture
def folder(settings: Settings) -> Iterator[Path]:
    """Where the versions lie; nothing unfinished is left there."""
    folder = settings.model_folder / "versions"
    yield folder
    assert list(folder.glob(".making*")) == []


def test_a_version_is_stored_as_it_was_made(settings, database, folder):
    version = store_version(settings, database, run_id=3)
    assert (version.name, version.state) == ("p7-v1", VersionState.CANDIDATE)
    assert named_version(database, "p7-v1") == version == project_versions(database, PROJECT)[0]
    checkpoint = version_checkpoint(settings, version)
    assert (checkpoint.digest, checkpoint.labels) == (version.digest, version.labels)
    assert checkpoint.digest == small_checkpoint().digest
    assert checkpoint.provenance["version"] == "p7-v1"
    record = json.loads(version_weights(settings, version).with_name("version.json").read_text())
    assert (record["name"], record["sha256"]) == ("p7-v1", version.sha256)
    assert VersionJudgement.from_dict(record["judgement"]) == VersionJudgement(JUDGEMENT)


def test_a_run_has_one_version_however_often_it_asks(settings, database, folder):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: store_version(settings, database, run_id=3), range(8)))
    assert {version.name for version in made} == {"p7-v1"}
    assert store_version(settings, database, run_id=4).name == "p7-v2"
    assert len(project_versions(database, PROJECT)) == 2


def test_projects_count_for_themselves(settings, database, folder):
    names = [
        store_version(settings, database, run, project_id=project).name
        for run, project in enumerate([3, 31, 3])
    ]
    assert names == ["p3-v1", "p31-v1", "p3-v2"]


def test_what_ended_between_weights_and_row_stays_and_its_number_is_not_given_again(
    settings, database, folder, monkeypatch
):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(versions, "add_version", Mock(side_effect=KeyboardInterrupt))
        store_version(settings, database, run_id=3, checkpoint=small_checkpoint(("left", "over")))
    [left] = folder.glob("p7-v1-*")
    assert project_versions(database, PROJECT) == []
    (folder / ".making-p7-abc").mkdir()
    version = store_version(settings, database, run_id=3)
    assert version.name == "p7-v2"
    assert version_checkpoint(settings, version).labels == ("bolt", "nut", "gear")
    assert load_checkpoint(left / "weights.safetensors").labels == ("left", "over")


@pytest.fixture
def other_store(tmp_path: Path) -> Iterator[Database]:
    """Another database on the same MODEL_DIR."""
    other = Database.open(f"sqlite:///{tmp_path}/other.sqlite3")
    yield other
    other.close()


def contents(folder: Path) -> dict[Path, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(folder): file.read_bytes() for file in files}


def test_versions_of_two_databases_do_not_disturb_each_other(settings, database, other_store, folder):
    first = store_version(settings, database, run_id=1)
    before = contents(folder)
    other = store_version(settings, other_store, run_id=1, checkpoint=small_checkpoint(("a", "b", "c")))
    assert (first.name, other.name) == ("p7-v1", "p7-v2")
    assert before.items() <= contents(folder).items()
    assert version_checkpoint(settings, first).labels == ("bolt", "nut", "gear")
    assert version_checkpoint(settings, other).labels == ("a", "b", "c")


def test_a_name_that_two_databases_have_given_is_two_versions(
    settings, database, other_store, folder, monkeypatch
):
    monkeypatch.setattr(versions, "highest_number", lambda *_: 0)
    first = store_version(settings, database, run_id=1)
    other = store_version(settings, other_store, run_id=1, checkpoint=small_checkpoint(("a", "b", "c")))
    assert (first.name, other.name) == ("p7-v1", "p7-v1")
    assert version_checkpoint(settings, first).labels == ("bolt", "nut", "gear")
    assert version_checkpoint(settings, other).labels == ("a", "b", "c")


def test_versions_that_two_databases_store_at_once_are_all_there(settings, database, other_store, folder):
    def store(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        labels = (f"a{number}", "b", "c")
        store = (database, other_store)[number % 2]
        version = store_version(settings, store, run_id=number, checkpoint=small_checkpoint(labels))
        return labels, version_checkpoint(settings, version).labels

    with ThreadPoolExecutor(8) as pool:
        assert all(given == found for given, found in pool.map(store, range(16)))
    assert len(list(folder.glob("p7-v*"))) == 16


@pytest.mark.parametrize("kind", ["the same files", "other files", "no files", "a file"])
def test_a_folder_that_is_there_is_never_removed(settings, database, folder, monkeypatch, kind):
    def write(making: Path, *given: object) -> NewVersion:
        (making / "weights.safetensors").write_bytes(b"the same each time")
        return replace(given[-1], sha256=file_sha256(making / "weights.safetensors"))

    monkeypatch.setattr(versions, "highest_number", lambda *_: 0)
    monkeypatch.setattr(version_files, "_write_files", write)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(versions, "add_version", Mock(side_effect=KeyboardInterrupt))
        store_version(settings, database, run_id=1)
    [made] = folder.glob("p7-v1-*")
    if kind == "other files":
        (made / "weights.safetensors").write_bytes(b"other")
    elif kind == "no files":
        (made / "weights.safetensors").rename(made / "other")
    elif kind == "a file":
        made.rename(folder / "moved")
        made.write_bytes(b"other")
    before = contents(folder)
    if kind == "the same files":
        assert store_version(settings, database, run_id=1).name == "p7-v1"
    else:
        with pytest.raises(WeightsError, match="holds other files than p7-v1: move it away and train again"):
            store_version(settings, database, run_id=1)
        assert project_versions(database, PROJECT) == []
    assert contents(folder) == before


def test_a_version_of_an_older_prelabel_is_found_where_it_lies(settings, database, folder):
    version = store_version(settings, database, run_id=1, heads=[head()])
    version_weights(settings, version).parent.rename(folder / "p7-v1")
    assert version_checkpoint(settings, version).labels == ("bolt", "nut", "gear")
    assert len(version_heads(settings, version)) == 1
    assert store_version(settings, database, run_id=2).name == "p7-v2"


def test_an_older_folder_of_another_database_is_not_ours(settings, database, folder):
    (folder / "p7-v1").mkdir(parents=True)
    (folder / "p7-v1" / "weights.safetensors").write_bytes(b"other")
    version = store_version(settings, database, run_id=1)
    assert version.name == "p7-v2"
    assert (folder / "p7-v1" / "weights.safetensors").read_bytes() == b"other"


def test_a_rejected_candidate_keeps_its_figures_and_no_weights(settings, database, folder):
    version = store_version(settings, database, run_id=3, promoted=False, reason="AP50 fell to 0.2")
    assert version.state is VersionState.REJECTED
    assert list(folder.glob("p7*")) == []
    with pytest.raises(VersionError, match=r"p7-v1 has no weights, .* AP50 fell to 0.2"):
        version_weights(settings, version)
    assert store_version(settings, database, run_id=4).name == "p7-v2"


def test_weights_that_changed_or_went_are_not_served(settings, database, folder):
    version = store_version(settings, database, run_id=3)
    weights = version_weights(settings, version)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"p7-v1.*not those that were stored"):
        load_version(settings, version)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"p7-v1.*cannot be read"):
        load_version(settings, version)


def test_a_disk_that_cannot_be_written_leaves_no_version(settings, database):
    settings.model_folder.parent.mkdir()
    settings.model_folder.write_text("a file in the way")
    with pytest.raises(WeightsError, match="cannot be written"):
        store_version(settings, database, run_id=3)
    assert next_number(database, PROJECT) == 1


def test_a_version_runs_under_its_name_with_its_own_settings(settings, database, folder):
    version = store_version(settings, database, run_id=3, checkpoint=real_checkpoint())
    detector = load_version(settings, version)
    assert (detector.version, detector.labels[:2]) == ("p7-v1", ("Disc", "Box"))
    assert (detector.engine.config.min_size, settings.prelabel_min_size) == (128, 64)
    assert len(detector.predict([np.zeros((60, 80, 3), np.uint8)])) == 1


def test_the_newest_promotion_says_what_serves(database, settings):
    first, second = (store_version(settings, database, run) for run in (1, 2))
    assert serving_version(database, PROJECT) is None
    assert add_promotion(database, PROJECT, first, "better")
    assert not add_promotion(database, PROJECT, first, "again")
    assert add_promotion(database, PROJECT, second, "better still")
    assert serving_version(database, PROJECT).name == "p7-v2"
    assert [one.state for one in project_versions(database, PROJECT)] == ["retired", "serving"]
    assert add_promotion(database, PROJECT, None, "none is good")
    assert serving_version(database, PROJECT) is None
    assert [one.state for one in project_versions(database, PROJECT)] == ["retired", "retired"]
    assert serving_names(database) == {}


def test_serving_names_are_those_of_every_project(database, settings):
    for run, project in enumerate([3, 8, 3]):
        version = store_version(settings, database, run, project_id=project)
        add_promotion(database, project, version, "better")
    assert list(serving_names(database).items()) == [(3, "p3-v2"), (8, "p8-v1")]


def test_what_label_studio_has_not_followed_is_known(database, settings):
    add_promotion(database, PROJECT, store_version(settings, database, 1), "better")
    [promotion] = unfinished_promotions(database)
    assert (promotion.version, promotion.is_published, promotion.is_refreshed) == ("p7-v1", False, False)
    mark_published(database, promotion)
    assert [one.is_published for one in unfinished_promotions(database)] == [True]
    mark_refreshed(database, promotion, datetime.now(UTC))
    assert unfinished_promotions(database) == []
    add_promotion(database, PROJECT, None, "none is good")
    assert newest_promotion(database, PROJECT).version is None
    assert len(unfinished_promotions(database)) == 1


@pytest.mark.parametrize(
    "name", ["p7-v2", "p7-v01", "p07-v1", "7-v1", "p7-v1 ", "p7-v1\n", "starter-aaaaaaaaaaaa", ""]
)
def test_names_that_are_none(database, settings, name):
    store_version(settings, database, 1)
    with pytest.raises(VersionError, match="prelabel versions list"):
        named_version(database, name)


def test_the_store_survives_the_process(database, settings):
    stored = store_version(settings, database, 1)
    again = Database.open(str(database.engine.url))
    assert [version.name for version in project_versions(again, PROJECT)] == ["p7-v1"]
    again.close()
    assert load_checkpoint(version_weights(settings, stored))


def test_a_server_can_follow_versions_without_pytorch():
    code = "import sys, prelabel.versions.loading, prelabel.versions.records; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def head(name: str = "weather", classes: tuple[str, ...] = ("sun", "rain")) -> LinearHead:
    weight = np.arange(len(classes) * 3, dtype=np.float32).reshape(len(classes), 3)
    return LinearHead(HeadSpec(name, classes, multi_label=False), weight, np.zeros(len(classes), np.float32))


def test_a_version_has_the_heads_of_its_choices(settings, database, folder):
    stored = store_version(settings, database, run_id=3, heads=[head(), head("kind", ("a", "b", "c"))])
    version = named_version(database, stored.name)
    weather, kind = version_heads(settings, version)
    assert (weather.spec, kind.spec.classes) == (head().spec, ("a", "b", "c"))
    np.testing.assert_array_equal(weather.weight, head().weight)
    assert version.plan.choices.classes == {"weather": ("sun", "rain"), "kind": ("a", "b", "c")}
    record = version_weights(settings, version).with_name("version.json")
    assert VersionPlan.from_dict(json.loads(record.read_text())["plan"]) == version.plan


def test_a_version_without_choices_has_no_heads(settings, database, folder):
    version = store_version(settings, database, run_id=3)
    assert version_heads(settings, version) == ()
    assert list(folder.rglob("heads.safetensors")) == []
    assert version.plan.choices is None


def test_heads_that_changed_or_went_are_not_served(settings, database, folder):
    version = store_version(settings, database, run_id=3, heads=[head()])
    [file] = folder.rglob("heads.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"p7-v1.*heads.*not those that were stored"):
        version_heads(settings, version)
    file.unlink()
    with pytest.raises(WeightsError, match=r"p7-v1.*heads.*cannot be read"):
        version_heads(settings, version)


def test_a_rejected_candidate_keeps_no_heads(settings, database, folder):
    version = store_version(settings, database, run_id=3, heads=[head()], promoted=False)
    assert version_heads(settings, version) == ()
    assert list(folder.glob("p7*")) == []
