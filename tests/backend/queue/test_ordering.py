"""The queue: places that Label Studio's own rules follow, one view per image, and what a refresh writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import RED_PER_NUMBER, ColourDetector, ColourEngine, predictions_of
from sqlalchemy import select
from tones import ToneDetector, head
from typer.testing import CliRunner, Result
from version_samples import store_version

from fbnetv3.active_learning import RANDOM_SHARE, STRATEGIES, Ranking
from fbnetv3.judging.calibration import Calibration
from prelabel.cli import app
from prelabel.inference.choice_models import ChoiceModels
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import AnnotateError
from prelabel.publish.promotion import promote
from prelabel.publish.survey import SurveyedTask
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.queue.ranked_tasks import group_of, is_drawn, ranked_tasks
from prelabel.queue.refresh import SAMPLING, TAB, QueueRefresh
from prelabel.settings import Settings, StrategyName, load_settings
from prelabel.store.database import Database
from prelabel.store.events import WebhookEvent, record_event
from prelabel.store.promotions import mark_refreshed, newest_promotion, unfinished_promotions
from prelabel.store.version_details import VersionPlan
from prelabel.versions import loading
from prelabel.versions.own_versions import OwnVersions
from prelabel.versions.records import version_calibration

VERSION = "starter-aaaaaaaaaaaa"
OWN = OwnVersions(frozenset({"starter"}))


class CountingDetector(ColourDetector):
    """Counts the images that it is set to."""

    version = VERSION
    viewed = 0

    def set_images(self, images):
        self.viewed += len(images)
        return super().set_images(images)


@pytest.fixture
def settings(
    studio: LabelStudioStandIn, tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Those of commands, too: they lie in the environment."""
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_ALLOW_PRIVATE_ADDRESSES", "true")
    return load_settings()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The store that commands open."""
    database = Database.open(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def images(host: str, studio: LabelStudioStandIn) -> list[int]:
    """Ten tasks, the later the redder: the detector is the surer the redder an image is."""
    return studio.add_tasks(*(f"http://{host}/img{number}.png" for number in range(10)))


@pytest.fixture
def detector() -> CountingDetector:
    return CountingDetector()


@pytest.fixture
def fetcher(studio: LabelStudioStandIn, settings: Settings) -> ImageFetcher:
    return ImageFetcher(studio.client(), fetch_limits(allow_private=True), settings.image_cache_path)


@pytest.fixture
def work(
    studio: LabelStudioStandIn, settings: Settings, detector: CountingDetector, fetcher: ImageFetcher
) -> Callable[..., QueueRefresh]:
    """A refresh of its own each time, as by another process."""

    def new(predictor: Predictor | None = None, **options) -> QueueRefresh:
        predictor = predictor or Predictor(detector, fetcher, predictor_options())
        return QueueRefresh(settings, studio.client(), predictor, PROJECT, OWN, **options)

    return new


@pytest.fixture
def refresh(work: Callable[..., QueueRefresh]):
    """Predicts and puts in order."""

    def run(strategy: str = "least_confidence", share: float = 0.0, **options):
        queue = work()
        queue.predict()
        return queue.put_in_order(strategy, share, **options)

    return run


def order_of(studio: LabelStudioStandIn) -> list[int]:
    """The tasks by their scores."""
    return [row["task"] for row in sorted(studio.predictions.values(), key=lambda row: row["score"])]


def task(number: int) -> SurveyedTask:
    return SurveyedTask(100 + number, {}, frozenset(), False, number=number)


def label_stream(rows: list[tuple[float, int, int]]) -> list[int]:
    """The rule of Label Studio's label stream on (score, cluster, task): least labelled cluster, then score."""
    labelled: dict[int, int] = {}
    served = []
    while rows:
        row = min(rows, key=lambda row: (labelled.get(row[1], 0), row[0]))
        rows.remove(row)
        labelled[row[1]] = labelled.get(row[1], 0) + 1
        served.append(row[2])
    return served


@pytest.mark.parametrize("seed", range(3))
def test_label_studios_own_rule_serves_the_tasks_in_the_order(seed):
    random = np.random.default_rng(seed)
    ranking = Ranking(random.permutation(40), random.integers(0, 4, 40), random.random(40) < 0.2)
    found = ranked_tasks([task(number) for number in range(40)], ranking)
    assert [place.task_id - 100 for place in found] == ranking.indices.tolist()
    assert all(one.score < other.score for one, other in pairwise(found))
    assert label_stream([(place.score, place.cluster, place.task_id) for place in found]) == [
        place.task_id for place in found
    ]


def test_a_cluster_tells_the_group_and_the_draw_and_is_no_other_tasks():
    ranking = Ranking(np.array([2, 0, 1]), np.array([0, 3, 3]), np.array([False, True, False]))
    found = {place.task_id: place.cluster for place in ranked_tasks([task(1), task(2), task(3)], ranking)}
    assert {task_id: group_of(cluster) for task_id, cluster in found.items()} == {101: 0, 102: 3, 103: 3}
    assert [task_id for task_id, cluster in found.items() if is_drawn(cluster)] == [102]
    assert found == {101: 1, 102: -3_000_002, 103: 3_000_003}


def test_a_task_with_several_images_comes_with_its_earliest():
    ranking = Ranking.of(np.array([3, 0, 1, 2]))
    found = ranked_tasks([task(1), task(1), task(2), task(2)], ranking)
    assert [(place.task_id, place.score) for place in found] == [(102, 0.0), (101, 0.5)]


def test_the_settings_know_the_strategies():
    assert set(get_args(StrategyName)) == set(STRATEGIES)
    fields = Settings.model_fields
    assert fields["prelabel_strategy"].default in STRATEGIES
    assert fields["prelabel_random_share"].default == RANDOM_SHARE


def test_the_least_sure_image_comes_first_and_label_studio_follows(studio, images, refresh):
    refreshed = refresh()
    assert order_of(studio) == images
    assert (refreshed.ordered, refreshed.changed, refreshed.is_whole) == (10, 10, True)
    assert studio.project["sampling"] == SAMPLING
    default, tab = (view["data"] for view in studio.views.values())
    assert (default["title"], tab["title"]) == ("Default", TAB)
    assert tab["ordering"] == ["tasks:predictions_score"]
    assert tab["hiddenColumns"]["explore"] == ["tasks:created_at"]


def test_every_image_is_viewed_once_for_its_prediction_and_its_place(studio, images, detector, refresh):
    refresh()
    refresh("combined", 0.5)
    assert detector.viewed == 10


def test_another_strategy_moves_the_predictions_that_are_there(studio, images, refresh):
    refresh()
    ids, pushed = list(studio.predictions), len(studio.pushed)
    assert refresh("random").changed > 0
    assert order_of(studio) != images
    assert (list(studio.predictions), len(studio.pushed)) == (ids, pushed)
    assert [view["data"]["title"] for view in studio.views.values()] == ["Default", TAB]


def test_the_same_order_again_writes_no_prediction(studio, images, refresh):
    refresh()
    studio.writes.clear()
    assert refresh().changed == 0
    assert not [write for write in studio.writes if "predictions" in write]


def test_what_people_did_to_the_tab_and_chose_for_the_stream_stays(studio, images, refresh):
    refresh()
    tab = next(view for view in studio.views.values() if view["data"]["title"] == TAB)
    tab["data"] |= {"hiddenColumns": {"explore": [], "labeling": []}, "ordering": ["tasks:id"]}
    studio.project["sampling"] = "Sequential sampling"
    [note] = refresh("margin", sets_sampling=False).notes
    assert tab["data"]["hiddenColumns"]["explore"] == []
    assert studio.views[tab["id"]]["data"]["ordering"] == ["tasks:predictions_score"]
    assert studio.project["sampling"] == "Sequential sampling" and TAB in note


def test_a_prediction_that_is_gone_by_now_needs_no_place(studio, images, refresh):
    told = []

    def delete_the_last(done: int, total: int) -> None:
        told.append((done, total))
        if done == 1:
            studio.predictions.popitem()

    refreshed = refresh(on_place=delete_the_last)
    assert told == [(place, 10) for place in range(1, 11)]
    assert (refreshed.ordered, refreshed.changed, refreshed.is_whole) == (10, 9, True)


def test_labelled_tasks_and_unreadable_images_have_no_place(studio, host, images, refresh):
    studio.tasks[images[3]]["annotations"] = [{"parent_prediction": None}]
    (bad,) = studio.add_tasks(f"http://{host}/broken.png")
    studio.add_prediction(bad, VERSION)
    refreshed = refresh("diversity")
    assert refreshed.ordered == 9
    assert [problem.task_id for problem in refreshed.problems] == [bad]


CHOICES = (
    '<View><Image name="image" value="$image"/><Choices name="tone" toName="image"><Choice value="red"/>'
    '<Choice value="black"/></Choices></View>'
)


def test_the_choice_that_a_head_is_least_sure_of_comes_first(studio, host, fetcher, work):
    _, unsure, _ = studio.add_tasks(*(f"http://{host}/img{number}.png" for number in (1, 25, 50)))
    studio.project["label_config"] = CHOICES
    models = ChoiceModels([head("tone", "red", "black")])
    predictor = Predictor(ToneDetector(), fetcher, predictor_options(), choices=models)
    for strategy in ("entropy", "expected_edits", "entropy"):  # the last one from features that were kept
        queue = work(predictor)
        queue.predict()
        refreshed = queue.put_in_order(strategy, 0.0)
        assert (refreshed.ordered, refreshed.notes) == (3, ())
        assert order_of(studio)[0] == unsure


def test_before_any_label_is_known_tasks_are_ordered_by_what_their_images_look_like(
    studio, host, fetcher, work
):
    """An empty prediction carries the place: without one a task has none."""
    *_, red = studio.add_tasks(*(f"http://{host}/img{number}.png" for number in (20, 21, 22, 23, 24, 25, 50)))
    studio.project["label_config"] = studio.project["label_config"].replace("Disc", "x").replace("Box", "y")
    queue = work(Predictor(ToneDetector(), fetcher, predictor_options()))
    assert queue.predict().pushed == 7
    assert [row["result"] for row in studio.predictions.values()] == [[]] * 7
    assert queue.put_in_order("representative", 0.0).notes == ()
    assert order_of(studio)[1] == red, "the odd one stands for itself alone, and nothing is like it"
    refreshed = queue.put_in_order("margin", 0.0)
    assert refreshed.ordered == 7
    assert refreshed.notes == ("colour-1 knows none of the labels yet, so this is the random order.",)


def test_where_nothing_can_be_labelled_there_is_no_order(studio, images, refresh):
    studio.project["label_config"] = '<View><Image name="image" value="$image"/></View>'
    with pytest.raises(AnnotateError, match="would be empty"):
        refresh("representative")
    assert not studio.predictions


def test_a_refresh_that_is_stopped_among_the_places_goes_on(studio, images, work, refresh):
    queue = work()
    queue.predict()
    answers = iter([True] * 14 + [False])
    stopped = work(keep_going=lambda: next(answers)).put_in_order("least_confidence", 0.0)
    assert (stopped.is_whole, stopped.changed) == (False, 3)
    assert studio.views == {}
    assert refresh().changed == 7
    assert order_of(studio) == images


def test_an_image_whose_features_are_damaged_is_viewed_again(studio, images, settings, detector, refresh):
    refresh()
    files = sorted(settings.queue_cache_path.rglob("*.npz"))
    assert len(files) == 10
    files[0].write_bytes(b"PK\x03\x04 not an archive")
    refresh("margin")
    assert detector.viewed == 11


def test_an_image_that_cannot_be_compared_keeps_its_prediction_and_has_no_place(
    studio, images, detector, refresh, settings, monkeypatch
):
    class FailsOnTheThird(ColourEngine):
        def classify(self, encoded, boxes):
            if encoded.maps["colour"][0, 0, 0] == 2 * RED_PER_NUMBER:
                raise RuntimeError("out of memory")
            return super().classify(encoded, boxes)

    monkeypatch.setattr(detector, "engine", FailsOnTheThird())
    refreshed = refresh()
    assert len(studio.predictions) == 10 and refreshed.ordered == 9
    [problem] = refreshed.problems
    assert (problem.task_id, problem.reason) == (images[2], "the network failed: RuntimeError")
    assert len(list(settings.queue_cache_path.rglob("*.npz"))) == 9


def test_features_of_other_versions_go(studio, images, settings, detector, refresh):
    refresh()
    detector.version = "starter-bbbbbbbbbbbb"
    refresh()
    assert {file.parent.name for file in settings.queue_cache_path.rglob("*.npz")} == {"starter-bbbbbbbbbbbb"}


def test_confidences_are_calibrated_and_thresholds_are_not(host, studio, tmp_path, images):
    fetcher = ImageFetcher(studio.client(), fetch_limits(allow_private=True), tmp_path)
    calibration = Calibration(offset=-3.0, regions=50)
    predictor = Predictor(ColourDetector(), fetcher, predictor_options(), calibration=calibration)
    [prediction] = predictions_of(
        predictor,
        [{"id": 1, "data": {"image": f"http://{host}/img1.png"}}],
        studio.project["label_config"],
        PROJECT,
    )
    (region,) = prediction["result"]
    shown = float(calibration(np.array([0.8]))[0])
    assert shown < predictor.options.score_threshold
    assert region["score"] == prediction["score"] == pytest.approx(shown, abs=1e-4)


def test_versions_from_before_there_were_calibrations_show_their_scores(settings, database):
    old = store_version(settings, database, 1)
    assert version_calibration(old) == version_calibration(None) == Calibration()


def quick_version(settings: Settings, version) -> CountingDetector:
    detector = CountingDetector()
    detector.version = version.name
    return detector


@pytest.fixture
def promoted(settings, database, studio, monkeypatch) -> None:
    """A version serves, and calibrates."""
    from prelabel.publish import promotion

    monkeypatch.setattr(promotion, "load_version", quick_version)
    monkeypatch.setattr(loading, "load_version", quick_version)
    plan = VersionPlan(calibration=Calibration(offset=-1.0, regions=50))
    promote(settings, database, None, store_version(settings, database, 1, plan=plan))


def test_a_promotion_puts_the_tasks_in_order_with_the_versions_confidences(
    settings, database, studio, images, promoted
):
    refresh_predictions(settings, database, studio.client(), PROJECT)
    assert sorted(row["score"] for row in studio.predictions.values()) == [place / 10 for place in range(10)]
    regions = [region for row in studio.predictions.values() for region in row["result"]]
    assert [region["score"] for region in regions] == pytest.approx([0.5954] * 10, abs=1e-3)
    assert newest_promotion(database, PROJECT).is_refreshed


def test_without_a_strategy_a_promotion_leaves_the_scores(settings, database, studio, images, promoted):
    plain = settings.model_copy(update={"prelabel_strategy": "none"})
    refresh_predictions(plain, database, studio.client(), PROJECT)
    assert studio.views == {} and studio.project["sampling"] == "Sequential sampling"
    assert newest_promotion(database, PROJECT).is_refreshed


def test_new_tasks_get_into_the_queue(settings, database, studio, host, images, promoted):
    refresh_predictions(settings, database, studio.client(), PROJECT)
    assert newest_promotion(database, PROJECT).is_refreshed
    (new,) = studio.add_tasks(f"http://{host}/img11.png")
    payload = {"action": "TASKS_CREATED", "project": {"id": PROJECT}, "tasks": [{"id": new}]}
    record_event(database, '{"action": "TASKS_CREATED"}', payload)
    assert [one.project_id for one in unfinished_promotions(database) if not one.is_refreshed] == [PROJECT]
    refresh_predictions(settings, database, studio.client(), PROJECT)
    assert newest_promotion(database, PROJECT).is_refreshed
    assert new in order_of(studio) and len(order_of(studio)) == 11


def test_a_task_of_the_moment_a_refresh_began_is_in_it(settings, database, studio, images, promoted):
    """The refresh surveyed the tasks after it began, so the newest of them needs no other one."""
    payload = {"action": "TASKS_CREATED", "project": {"id": PROJECT}, "tasks": [{"id": images[-1]}]}
    record_event(database, '{"action": "TASKS_CREATED"}', payload)
    with database.session() as session:
        begun = session.scalar(select(WebhookEvent.received_at))
    mark_refreshed(database, newest_promotion(database, PROJECT), begun)
    assert newest_promotion(database, PROJECT).is_refreshed
    mark_refreshed(database, newest_promotion(database, PROJECT), begun - timedelta(microseconds=1))
    assert not newest_promotion(database, PROJECT).is_refreshed


@pytest.fixture
def command(settings, monkeypatch):
    """Runs `prelabel queue` with a quick detector."""
    monkeypatch.setattr(loading, "load_detector", lambda settings: CountingDetector())

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["queue", *arguments, "--project", str(PROJECT)])

    return run


def test_the_commands_refresh_and_show(studio, images, command):
    assert f"`prelabel queue refresh --project {PROJECT}`" in command("show").stderr
    result = command("refresh", "--strategy", "least_confidence", "--random-share", "0.1")
    assert result.exit_code == 0, result.output
    assert f"10 tasks are in the order of least_confidence by {VERSION}" in result.output
    assert studio.project["model_version"] == VERSION
    shown = command("show", "--limit", "7").output.splitlines()
    rows = [line.split() for line in shown[1:8]]
    assert [row[0] for row in rows] == [str(place) for place in range(1, 8)]
    assert [row[4:] for row in rows] == [["least_confidence"]] * 5 + [
        ["random", "share"],
        ["least_confidence"],
    ]
    assert "least_confidence, 10% of the places drawn at random" in shown[-1]


def test_a_task_predicted_since_is_named_so(studio, host, images, command):
    command("refresh")
    studio.add_prediction(studio.add_tasks(f"http://{host}/img1.png")[0], VERSION)
    assert "predicted since the last refresh" in command("show").output


def test_an_order_that_somebody_chose_while_predictions_ran_is_seen(studio, images, work):
    queue = work()
    queue.predict()
    queue.put_in_order("least_confidence", 0.0)
    later = work()
    studio.project["sampling"] = "Sequential sampling"
    [note] = later.put_in_order("margin", 0.0, sets_sampling=False).notes
    assert TAB in note
    assert later.put_in_order("margin", 0.0).notes == () and studio.project["sampling"] == SAMPLING
