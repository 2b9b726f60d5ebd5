"""`annotate_project`: which tasks it predicts, what it takes back, and what failures cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import ColourDetector
from typer.testing import CliRunner, Result

from prelabel.cli import app
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient, LabelStudioError
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish import survey
from prelabel.publish.annotate import AnnotateError, Summary, annotate_project
from prelabel.publish.shown_version import notes_after, serving_note
from prelabel.versions import loading
from prelabel.versions.own_versions import OwnVersions

CURRENT = "starter-aaaaaaaaaaaa"
STALE = "coco-bbbbbbbbbbbb"
FOREIGN = "yolo-v8"
LOOKALIKE = "sam-cccccccccccc"
OWN = OwnVersions(frozenset({"starter", "coco"}))


class StarterDetector(ColourDetector):
    version = CURRENT


@pytest.fixture
def images(host: str, studio: LabelStudioStandIn) -> list[int]:
    """Ten tasks with readable images."""
    return studio.add_tasks(*(f"http://{host}/img{number}.png" for number in range(10)))


@pytest.fixture
def predictor(studio: LabelStudioStandIn, tmp_path: Path) -> Predictor:
    limits = fetch_limits(allow_private=True, total_timeout=5)
    return Predictor(StarterDetector(), ImageFetcher(studio.client(), limits, tmp_path), predictor_options())


@pytest.fixture
def annotate(studio: LabelStudioStandIn, predictor: Predictor):
    def run(**options) -> Summary:
        return annotate_project(
            studio.client(), predictor, read_project(studio.client(), PROJECT), OWN, batch_size=4, **options
        )

    return run


def test_every_task_gets_one_prediction_in_small_batches(studio, images, annotate):
    summary = annotate()
    assert [len(push) for push in studio.pushed] == [4, 4, 2]
    assert all(studio.versions(task) == [CURRENT] for task in images)
    assert all(row["result"] for row in studio.predictions.values())
    assert (summary.pushed, summary.done, summary.total, summary.failed) == (10, 10, 10, 0)


def test_the_tasks_of_every_page_are_seen(studio, images, annotate, monkeypatch):
    monkeypatch.setattr(survey, "PAGE_SIZE", 3)
    assert annotate().pushed == 10
    assert annotate().current == 10


def test_a_second_run_does_nothing(studio, images, annotate):
    annotate()
    studio.writes.clear()
    summary = annotate()
    assert (summary.pushed, summary.current, summary.total) == (0, 10, 0)
    assert studio.writes == []


def test_what_was_pushed_stays_when_label_studio_fails_and_the_next_run_goes_on(studio, images, annotate):
    studio.pushes_left = 2
    with pytest.raises(LabelStudioError, match="database is locked"):
        annotate()
    assert sum(map(len, studio.pushed)) == 8
    studio.pushes_left = 10
    assert annotate().pushed == 2
    assert all(studio.versions(task) == [CURRENT] for task in images)


def test_progress_comes_after_every_batch(images, annotate):
    seen = []
    annotate(on_progress=lambda summary: seen.append((summary.done, summary.total)))
    assert seen == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_stale_predictions_go_once_the_new_one_is_in(studio, images, annotate):
    for task in images[:3]:
        studio.add_prediction(task, STALE)
    summary = annotate()
    assert all(studio.versions(task) == [CURRENT] for task in images)
    assert summary.removed == 3
    first_import = next(i for i, write in enumerate(studio.writes) if "import" in write)
    first_delete = next(i for i, write in enumerate(studio.writes) if write.startswith("DELETE"))
    assert first_import < first_delete


def test_predictions_of_others_stay(studio, images, annotate):
    for version in (STALE, FOREIGN, LOOKALIKE, None):
        studio.add_prediction(images[0], version)
    annotate()
    assert studio.versions(images[0]) == [FOREIGN, LOOKALIKE, None, CURRENT]


def test_stale_only_leaves_tasks_without_a_stale_prediction_alone(studio, images, annotate):
    studio.add_prediction(images[0], STALE)
    studio.add_prediction(images[1], FOREIGN)
    studio.add_prediction(images[2], CURRENT)
    summary = annotate(stale_only=True)
    assert studio.pushed == [[images[0]]]
    assert (summary.pushed, summary.current, summary.unasked) == (1, 1, 8)


def test_a_run_that_was_killed_before_it_cleaned_up_is_made_good(studio, images, annotate):
    studio.add_prediction(images[0], STALE)
    studio.add_prediction(images[0], CURRENT)
    summary = annotate(stale_only=True)
    assert studio.versions(images[0]) == [CURRENT]
    assert (summary.pushed, summary.removed, summary.done, summary.total) == (0, 1, 1, 1)


@pytest.mark.parametrize("stale_only", [True, False])
@pytest.mark.parametrize("shown", [CURRENT, FOREIGN, ""])
def test_a_failed_prediction_of_this_version_is_replaced(studio, images, annotate, shown, stale_only):
    annotate()
    studio.project["model_version"] = shown
    studio.predictions = {id_: row for id_, row in studio.predictions.items() if row["task"] != images[3]}
    failed = studio.add_prediction(images[3], CURRENT, score=0.0)
    summary = annotate(stale_only=stale_only)
    assert (summary.pushed, summary.removed, summary.current) == (1, 1, 9)
    [row] = [row for row in studio.predictions.values() if row["task"] == images[3]]
    assert row["id"] != failed and row["result"] and row["score"] > 0
    assert annotate(stale_only=stale_only).total == 0


def test_a_failed_prediction_stays_while_its_image_cannot_be_had(studio, annotate, host):
    [task] = studio.add_tasks(f"http://{host}/missing.png")
    failed = studio.add_prediction(task, CURRENT, score=0.0)
    for _ in range(2):
        summary = annotate(stale_only=True)
        assert (summary.failed, summary.current, summary.removed) == (1, 0, 0)
    assert list(studio.predictions) == [failed]


def test_empty_predictions_on_purpose_are_not_asked_for_again(studio, images, annotate):
    for task in images:
        studio.add_prediction(task, CURRENT, score=0.3)
    first = studio.predictions[studio.add_prediction(images[0], CURRENT, score=0.0)]
    first["cluster"] = 1_000_001
    summary = annotate()
    assert (summary.total, summary.current) == (0, 10)


def test_empty_predictions_of_a_version_without_the_labels_are_not_asked_for_again(studio, images, predictor):
    studio.project["label_config"] = (
        studio.project["label_config"].replace("Disc", "Cat").replace("Box", "Dog")
    )
    for wanted in (10, 0):
        summary = annotate_project(
            studio.client(), predictor, read_project(studio.client(), PROJECT), OWN, even_empty=True
        )
        assert summary.pushed == wanted
    assert all(row["result"] == [] and row["cluster"] is None for row in studio.predictions.values())


def test_a_failed_prediction_beside_a_good_one_goes_with_the_stale_ones(studio, images, annotate):
    annotate()
    studio.add_prediction(images[0], CURRENT, score=0.0)
    studio.add_prediction(images[0], STALE)
    assert annotate().removed == 2
    assert studio.versions(images[0]) == [CURRENT]


def test_a_replacement_that_label_studio_drops_is_noticed(studio, images, annotate):
    failed = studio.add_prediction(images[0], CURRENT, score=0.0)
    studio.dropped = {images[0]}
    summary = annotate()
    assert [problem.task_id for problem in summary.problems] == [images[0]]
    assert failed in studio.predictions


def test_looking_for_failed_predictions_takes_no_request_where_scores_are_above_zero(
    studio, images, annotate, monkeypatch
):
    annotate()
    studio.project["model_version"] = CURRENT
    asked = []
    monkeypatch.setattr(LabelStudioClient, "task_predictions", lambda self, task: asked.append(task) or [])
    assert annotate().current == 10
    assert asked == []


def test_a_prediction_that_an_annotation_was_made_from_stays(studio, images, annotate):
    parent = studio.add_prediction(images[0], STALE)
    studio.add_prediction(images[0], STALE)
    studio.tasks[images[0]]["annotations"] = [{"parent_prediction": parent}]
    annotate(include_labelled=True)
    assert studio.versions(images[0]) == [STALE, CURRENT]
    assert parent in studio.predictions


def test_a_task_with_a_draft_keeps_its_predictions_until_the_draft_is_gone(studio, images, annotate):
    studio.add_prediction(images[0], STALE)
    studio.tasks[images[0]]["draft_exists"] = True
    annotate()
    assert studio.versions(images[0]) == [STALE, CURRENT]
    studio.tasks[images[0]]["draft_exists"] = False
    annotate()
    assert studio.versions(images[0]) == [CURRENT]


def test_a_task_with_more_versions_than_the_data_manager_lists_is_not_predicted_twice(
    studio, images, annotate
):
    for number in range(60):
        studio.add_prediction(images[0], f"{FOREIGN}.{number}")
    annotate()
    assert annotate().pushed == 0
    assert studio.versions(images[0]).count(CURRENT) == 1


def test_labelled_tasks_are_left_alone_unless_asked_for(studio, host, annotate):
    (labelled,) = studio.add_tasks(f"http://{host}/img1.png", labelled=True)
    assert annotate().labelled == 1
    assert studio.versions(labelled) == []
    assert annotate(include_labelled=True).pushed == 1
    assert studio.versions(labelled) == [CURRENT]


@pytest.mark.parametrize("image", ["broken.png", "missing.png"])
def test_a_task_whose_image_cannot_be_read_is_named_and_gets_nothing(studio, host, images, annotate, image):
    (bad,) = studio.add_tasks(f"http://{host}/{image}")
    summary = annotate()
    assert summary.pushed == 10
    assert [(problem.task_id, problem.is_pushed) for problem in summary.problems] == [(bad, False)]
    assert "image" in summary.problems[0].reason
    assert studio.versions(bad) == []
    assert summary.done == summary.total == 11


def test_an_image_without_objects_gets_an_empty_prediction(studio, images, predictor, annotate):
    predictor.detector.find = lambda features, *thresholds: [
        ColourDetector().find([one])[0].select([]) for one in features
    ]
    assert annotate().pushed == 10
    assert all(row["result"] == [] for row in studio.predictions.values())


def test_a_task_that_label_studio_refuses_costs_its_batch_nothing(studio, images, annotate):
    studio.vanished = {images[1]}
    summary = annotate()
    assert [problem.task_id for problem in summary.problems] == [images[1]]
    assert summary.pushed == 9
    assert all(studio.versions(task) == [CURRENT] for task in images if task != images[1])


def test_a_prediction_that_label_studio_drops_in_silence_is_noticed(studio, images, annotate):
    studio.dropped = {images[5]}
    studio.add_prediction(images[5], STALE)
    summary = annotate()
    assert [problem.task_id for problem in summary.problems] == [images[5]]
    assert summary.pushed == 9
    assert studio.versions(images[5]) == [STALE]


def test_nothing_is_written_where_no_label_matches(studio, images, annotate):
    studio.project["label_config"] = studio.project["label_config"].replace("Disc", "x").replace("Box", "y")
    with pytest.raises(AnnotateError, match=r"Disc, Box, Wedge.*predicted_values.*label some tasks"):
        annotate()
    assert studio.writes == []


def test_nothing_is_written_where_no_choice_was_learnt_yet(studio, images, annotate):
    rows = '<Choice value="good"/><Choice value="bad"/>'
    choices = f'<Choices name="c" toName="image">{rows}</Choices>'
    studio.project["label_config"] = f'<View><Image name="image" value="$image"/>{choices}</View>'
    with pytest.raises(AnnotateError, match=r"choices only and none has been learnt yet"):
        annotate()
    assert studio.writes == []


def test_what_was_pushed_becomes_the_shown_version(studio, images, annotate):
    annotate()
    studio.project["model_version"] = STALE
    assert notes_after(studio.client(), PROJECT, CURRENT, OWN) == [None]
    assert studio.project["model_version"] == CURRENT


@pytest.mark.parametrize("shown", [FOREIGN, LOOKALIKE])
def test_a_version_that_somebody_chose_stays_shown(studio, images, annotate, shown):
    annotate()
    studio.project["model_version"] = shown
    (note,) = notes_after(studio.client(), PROJECT, CURRENT, OWN)
    assert "prelabel connect" in note
    assert studio.project["model_version"] == shown


def test_a_live_backend_keeps_its_version_shown(studio, images, annotate):
    annotate()
    studio.add_backend("http://localhost:9090", STALE)
    studio.project["model_version"] = STALE
    (note,) = notes_after(studio.client(), PROJECT, CURRENT, OWN)
    assert "prelabel connect" in note
    assert studio.project["model_version"] == STALE


def test_nothing_is_shown_of_a_run_without_predictions(studio, images):
    assert notes_after(studio.client(), PROJECT, CURRENT, OWN) == [None]
    assert studio.project["model_version"] == ""


def test_versions_that_may_be_prelabels_are_named(studio, images, annotate):
    studio.add_prediction(images[0], LOOKALIKE)
    annotate()
    assert f"--replace {LOOKALIKE}" in notes_after(studio.client(), PROJECT, CURRENT, OWN)[1]


def test_a_server_with_another_version_is_warned_of(studio):
    studio.add_backend("http://localhost:9090", CURRENT)
    studio.answering = STALE
    backends = attached_backends(studio.client(), PROJECT)
    assert STALE in serving_note(backends, CURRENT)
    assert serving_note(backends, STALE) is None


@pytest.fixture
def command(studio, bare_environment, tmp_path, monkeypatch):
    """Runs `prelabel annotate` with a quick detector."""
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setattr(loading, "load_detector", lambda settings: StarterDetector())

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["annotate", "--project", str(PROJECT), *arguments])

    return run


def test_the_command_counts_and_names_what_failed_and_is_no_failure(studio, host, images, command):
    (bad,) = studio.add_tasks(f"http://{host}/broken.png")
    result = command()
    assert result.exit_code == 0, result.output
    assert "Tasks with a new prediction: 10" in result.output
    assert "because something failed: 1" in result.output
    assert f"task {bad}: image" in result.output
    assert studio.project["model_version"] == CURRENT


def test_the_command_takes_back_a_declared_version(studio, images, command):
    studio.add_prediction(images[0], LOOKALIKE)
    assert "--replace" in command().output
    result = command("--stale-only", "--replace", LOOKALIKE)
    assert "Stale predictions removed: 1" in result.output
    assert studio.versions(images[0]) == [CURRENT]


def test_the_command_knows_the_versions_on_record_with_the_project(studio, images, command):
    studio.add_backend("http://localhost:9090", CURRENT, description=f"prelabel; served before: {LOOKALIKE}")
    studio.add_prediction(images[0], LOOKALIKE)
    assert "Stale predictions removed: 1" in command().output


def test_ctrl_c_says_that_nothing_is_lost(studio, images, command, monkeypatch):
    calls = iter([False, True])

    def find(self, features, *thresholds):
        if next(calls):
            raise KeyboardInterrupt
        return ColourDetector.find(self, features, *thresholds)

    monkeypatch.setattr(StarterDetector, "find", find)
    result = command("--batch-size", "4")
    assert result.exit_code == 130
    assert "goes on from there" in result.output
    assert len(studio.predictions) == 4


def test_the_command_fails_in_one_sentence(studio, images, command):
    studio.pushes_left = 1
    result = command("--batch-size", "2")
    assert result.exit_code == 1
    assert "database is locked" in result.stderr
    assert "Traceback" not in result.output
