"""Promotion: the store decides, Label Studio follows as far as people let it, and whatever stops is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import ColourDetector
from stand_in import Answer, StandIn, stand_in
from typer.testing import CliRunner, Result
from version_samples import real_checkpoint, store_version
from weights_samples import small_checkpoint

from fbnetv3.weights import WeightsError, write_checkpoint
from prelabel.cli import app
from prelabel.connect.connect import connect_project
from prelabel.connect.doctor import Examination, Status, examine
from prelabel.labelstudio.api.backends import attached_backends, recorded_versions
from prelabel.publish import promotion
from prelabel.publish.promotion import previous_version, promote, publish, roll_back, unfinished_promotions
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import newest_promotion
from prelabel.versions import loading
from prelabel.versions.own_versions import OwnVersions, has_own_form
from prelabel.versions.records import Version, VersionError, serving_version, version_weights

URL = "http://prelabel:9090"
BASE = f"tiny-{small_checkpoint().digest}"
FOREIGN = "yolo-v8"
DEAF = "http://127.0.0.1:9"


@pytest.fixture
def settings(studio: LabelStudioStandIn, tmp_path: Path, bare_environment: None, monkeypatch) -> Settings:
    """Those of commands, too: they lie in the environment."""
    write_checkpoint(small_checkpoint(), tmp_path / "tiny.safetensors")
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_WEIGHTS", str(tmp_path / "tiny.safetensors"))
    monkeypatch.setenv("PRELABEL_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("PRELABEL_ENGINE", "torch")
    return load_settings()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The store that commands open."""
    database = Database.open(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are quick detectors, whose weights must be there all the same."""

    def detector(settings: Settings, version: Version) -> ColourDetector:
        version_weights(settings, version)
        detector = ColourDetector()
        detector.version = version.name
        return detector

    def base(settings: Settings) -> ColourDetector:
        detector = ColourDetector()
        detector.version = BASE
        return detector

    monkeypatch.setattr(promotion, "load_version", detector)
    monkeypatch.setattr(loading, "load_version", detector)
    monkeypatch.setattr(loading, "load_detector", base)


@pytest.fixture
def new(settings: Settings, database: Database, quick: None) -> Callable[[int], Version]:
    """The version of a run."""
    return lambda run_id: store_version(settings, database, run_id)


@pytest.fixture
def connected(studio: LabelStudioStandIn) -> dict:
    """The project's backend."""
    studio.answering = BASE
    connect_project(studio.client(), PROJECT, URL, BASE)
    (backend,) = studio.backends.values()
    return backend


@pytest.fixture
def images(host: str, studio: LabelStudioStandIn) -> list[int]:
    """Ten tasks with readable images."""
    return studio.add_tasks(*(f"http://{host}/img{number}.png" for number in range(10)))


def test_a_promotion_is_seen_everywhere_label_studio_looks(settings, database, studio, connected, new):
    changes = promote(settings, database, studio.client(), new(1))
    assert serving_version(database, PROJECT).name == "p7-v1"
    assert connected["title"] == studio.project["model_version"] == "p7-v1"
    assert connected["url"] == URL
    assert len(changes) == 2
    promote(settings, database, studio.client(), new(2))
    assert connected["title"] == studio.project["model_version"] == "p7-v2"
    assert recorded_versions(attached_backends(studio.client(), PROJECT)) == [BASE, "p7-v1", "p7-v2"]
    assert newest_promotion(database, PROJECT).is_published


def test_promoting_again_changes_nothing(settings, database, studio, connected, new):
    promote(settings, database, studio.client(), new(1))
    studio.writes.clear()
    assert promote(settings, database, studio.client(), new(1)) == []
    assert publish(settings, database, studio.client(), PROJECT) == []
    assert studio.writes == []


def test_a_promotion_holds_while_label_studio_is_down_and_is_told_later(
    settings, database, studio, connected, new
):
    studio.refuse(f"GET /api/projects/{PROJECT}/", 503)
    changes = promote(settings, database, studio.client(), new(1))
    assert "Label Studio was not told" in changes[-1]
    assert serving_version(database, PROJECT).name == "p7-v1"
    assert [one.is_published for one in unfinished_promotions(database)] == [False]
    studio.refused.clear()
    publish(settings, database, studio.client(), PROJECT)
    assert connected["title"] == studio.project["model_version"] == "p7-v1"
    assert [one.is_published for one in unfinished_promotions(database)] == [True]


def test_a_project_without_prelabel_stays_as_it_is(settings, database, studio, new):
    studio.add_backend("http://other:1", "SAM")
    studio.writes.clear()
    promote(settings, database, studio.client(), new(1))
    assert serving_version(database, PROJECT).name == "p7-v1"
    assert studio.writes == []
    assert newest_promotion(database, PROJECT).is_published


def test_a_version_that_somebody_chose_goes_on_showing(settings, database, studio, connected, new, images):
    studio.add_prediction(images[0], FOREIGN)
    studio.project["model_version"] = FOREIGN
    changes = promote(settings, database, studio.client(), new(1))
    assert "goes on showing the predictions of 'yolo-v8'" in changes[-1]
    assert (connected["title"], studio.project["model_version"]) == ("p7-v1", FOREIGN)


def test_what_cannot_be_loaded_is_not_promoted(settings, database, studio, connected, new):
    version = new(1)
    version_weights(settings, version).unlink()
    with pytest.raises(WeightsError, match="p7-v1"):
        promote(settings, database, studio.client(), version)
    assert serving_version(database, PROJECT) is None
    assert connected["title"] == BASE


def test_a_rejected_candidate_is_not_promoted(settings, database, quick):
    rejected = store_version(settings, database, 1, promoted=False)
    with pytest.raises(VersionError, match="the gate rejected it"):
        promote(settings, database, None, rejected)


def test_a_real_version_is_promoted(settings, database):
    promote(settings, database, None, store_version(settings, database, 1, real_checkpoint()))
    assert serving_version(database, PROJECT).name == "p7-v1"


def test_rolling_back_goes_version_by_version_to_the_base(settings, database, studio, connected, new):
    client = studio.client()
    for run in (1, 2, 3):
        promote(settings, database, client, new(run))
    shown = []
    for _ in range(3):
        earlier = previous_version(database, PROJECT)
        roll_back(settings, database, client, PROJECT, earlier, "too many false ones")
        shown.append(studio.project["model_version"])
    assert shown == ["p7-v2", "p7-v1", BASE]
    assert newest_promotion(database, PROJECT).reason == "too many false ones"
    with pytest.raises(VersionError, match="no serving version"):
        previous_version(database, PROJECT)


def test_rolling_back_to_what_never_served_is_refused(settings, database, new):
    with pytest.raises(VersionError, match="p7-v1 never served, it is candidate"):
        roll_back(settings, database, None, PROJECT, new(1), "why not")
    with pytest.raises(VersionError, match="no version of project 8"):
        roll_back(settings, database, None, 8, new(1), "why not")


def test_versions_are_own_by_the_table_and_the_record_not_by_their_form(settings, database, studio, new):
    new(1)
    studio.add_backend(URL, "p7-v3", description="prelabel; served before: p7-v2")
    own = OwnVersions.of_project(settings, database, PROJECT, attached_backends(studio.client(), PROJECT))
    assert [f"p7-v{number}" in own for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert own.lookalikes(["p7-v4", "p7-v1"]) == ["p7-v4"]
    assert has_own_form("p7-v4")


@pytest.fixture
def refresh(settings, database, studio, new):
    """Promotes a version and refreshes; scores of the old predictions are 0.9, 0.8, ... but for the last two."""
    promote(settings, database, None, new(1))

    def run(**options):
        return refresh_predictions(settings, database, studio.client(), PROJECT, batch_size=2, **options)

    return run


def give_scores(studio: LabelStudioStandIn, tasks: list[int]) -> None:
    for place, task in enumerate(tasks):
        studio.predictions[studio.add_prediction(task, BASE)]["score"] = 0.9 - place / 10


def test_the_least_sure_tasks_are_refreshed_first(studio, images, refresh):
    give_scores(studio, images[:8])
    studio.add_prediction(images[8], FOREIGN)
    summary = refresh()
    without, scored = [images[8], images[9]], images[7::-1]
    assert [task for push in studio.pushed for task in push] == [*without, *scored]
    assert [len(push) for push in studio.pushed] == [2] * 5
    assert (summary.version, summary.pushed, summary.removed) == ("p7-v1", 10, 8)


def test_own_old_predictions_go_and_those_of_others_and_of_people_stay(studio, host, images, refresh):
    studio.tasks[images[0]]["annotations"] = [{"parent_prediction": studio.add_prediction(images[0], BASE)}]
    studio.add_prediction(images[1], BASE)
    studio.add_prediction(images[1], FOREIGN)
    studio.add_prediction(images[2], "p7-v99")
    refresh()
    assert studio.versions(images[0]) == [BASE]
    assert studio.versions(images[1]) == [FOREIGN, "p7-v1"]
    assert studio.versions(images[2]) == ["p7-v99", "p7-v1"]


def test_a_refreshed_project_is_left_alone(studio, database, images, refresh):
    assert refresh().pushed == 10
    assert newest_promotion(database, PROJECT).is_refreshed
    assert studio.project["model_version"] == "p7-v1"
    studio.writes.clear()
    assert refresh() is None
    assert studio.writes == []


def test_a_refresh_that_was_stopped_goes_on(studio, database, images, refresh):
    answers = iter([True, True, False])
    assert refresh(keep_going=lambda: next(answers)).pushed == 4
    assert not newest_promotion(database, PROJECT).is_refreshed
    assert refresh().pushed == 6
    assert newest_promotion(database, PROJECT).is_refreshed
    assert all(studio.versions(task) == ["p7-v1"] for task in images)


def test_a_refresh_ends_when_another_version_serves(settings, database, studio, images, refresh, new):
    def another(summary) -> None:
        if summary.done == 4:
            promote(settings, database, None, new(2))

    assert refresh(on_progress=another).pushed == 4
    assert refresh().version == "p7-v2"
    assert all(studio.versions(task) == ["p7-v2"] for task in images)


def test_a_project_whose_labels_the_version_lacks_is_not_tried_for_ever(
    studio, database, images, settings, refresh, caplog
):
    """Without an order there is nothing to be done for it."""
    plain = settings.model_copy(update={"prelabel_strategy": "none"})
    studio.project["label_config"] = studio.project["label_config"].replace("Disc", "x").replace("Box", "y")
    assert refresh_predictions(plain, database, studio.client(), PROJECT) is None
    assert "p7-v1" in caplog.text
    assert unfinished_promotions(database) == [] or newest_promotion(database, PROJECT).is_refreshed


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--project", str(PROJECT)])


def test_annotate_uses_the_serving_version(studio, images, refresh):
    result = run("annotate")
    assert result.exit_code == 0, result.output
    assert "Predicting with p7-v1." in result.output
    assert all(studio.versions(task) == ["p7-v1"] for task in images)


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A prelabel server that has followed the store."""
    with stand_in() as server:
        server.answers("/health", Answer({"status": "UP", "model_class": "prelabel", "model_version": BASE}))
        server.answers(
            "/versions", lambda request: Answer({"versions": ["p7-v1" if request.query else BASE]})
        )
        monkeypatch.setenv("PORT", server.url.rpartition(":")[2])
        yield server


def test_connecting_names_the_project_after_its_version(studio, database, settings, server):
    studio.answering = "p7-v1"
    promote(settings, database, None, store_version(settings, database, 1, real_checkpoint()))
    result = run("connect")
    assert result.exit_code == 0, result.output
    (backend,) = studio.backends.values()
    assert backend["title"] == studio.project["model_version"] == "p7-v1"
    assert "Disc -> Disc" in result.output


def test_the_doctor_finds_a_promoted_project_sound(studio, database, settings, server, images):
    studio.answering = "p7-v1"
    connect_project(studio.client(), PROJECT, f"http://localhost:{load_settings().port}", BASE)
    promote(settings, database, studio.client(), store_version(settings, database, 1, real_checkpoint()))
    for task in images:
        studio.add_prediction(task, "p7-v1")
    findings = {finding.link: finding for finding in examine(Examination(load_settings(), PROJECT))}
    assert {finding.status for finding in findings.values()} == {Status.OK}, findings
    assert findings["weights"].detail.startswith("p7-v1: ")
    studio.add_prediction(images[0], BASE)
    stale = {finding.link: finding for finding in examine(Examination(load_settings(), PROJECT))}
    assert f"{BASE} is not served any more" in stale["predictions"].detail


def test_the_doctor_says_where_the_store_is_out_of_reach(studio, settings, server, monkeypatch, tmp_path):
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("PRELABEL_DATABASE_URL", f"sqlite:///{tmp_path}/folder")
    findings = {finding.link: finding for finding in examine(Examination(load_settings(), PROJECT))}
    assert findings["database"].status is Status.BROKEN
    assert "it is a folder" in findings["database"].detail
    assert "PRELABEL_DATABASE_URL" in findings["database"].remedy
