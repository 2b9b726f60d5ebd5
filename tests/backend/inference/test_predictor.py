"""From tasks to predictions: one each, in order, each valid, whatever fails on the way."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_sdk.label_interface import LabelInterface
from serving import CONFIG, ColourDetector, captured, image_number, predictions_of

from prelabel.inference import results
from prelabel.inference.outcomes import Abandoned
from prelabel.inference.predictor import Predictor, PredictorOptions
from prelabel.inference.task_images import ImageRequest, TaskImage, read_ahead
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.labelstudio.regions.predictions import to_regions
from prelabel.settings import load_settings

EMPTY = {"result": [], "score": 0.0, "model_version": "colour-1"}
NOTHING_TO_LOOK_AT = EMPTY | {"score": 0.0001}


@pytest.fixture
def detector() -> ColourDetector:
    return ColourDetector()


@pytest.fixture
def predictor(detector: ColourDetector, tmp_path: Path) -> Predictor:
    fetcher = ImageFetcher(None, fetch_limits(allow_private=True, total_timeout=5), tmp_path)
    return Predictor(detector, fetcher, predictor_options(batch_size=3))


def tasks(host: str, *names: str) -> list[dict[str, Any]]:
    return [
        {"id": 100 + index, "data": {"image": f"http://{host}/{name}"}} for index, name in enumerate(names)
    ]


def numbers(predictions: list[dict[str, Any]]) -> list[int | None]:
    return [image_number(prediction) for prediction in predictions]


def test_options_are_those_of_the_settings(bare_environment: None) -> None:
    settings = load_settings(
        model_score_threshold=0.5,
        prelabel_polygon_tolerance=0.05,
        prelabel_batch_size=7,
        prelabel_max_image_pixels=2_000_000,
    )
    assert PredictorOptions.of(settings) == PredictorOptions(0.5, 0.05, 7, 2_000_000)


def test_one_valid_prediction_per_task_in_order(
    predictor: Predictor, detector: ColourDetector, host: str
) -> None:
    wanted = [7, 3, 11, 3, 0, 20, 5]
    predictions = predictions_of(predictor, tasks(host, *(f"img{n}.png" for n in wanted)), CONFIG, 1)
    assert numbers(predictions) == wanted
    assert detector.batches == [3, 3, 1]
    for prediction in predictions:
        assert LabelInterface(CONFIG).validate_prediction(prediction, return_errors=True) == []
        assert [region["type"] for region in prediction["result"]] == ["rectanglelabels", "brushlabels"]
        assert prediction["model_version"] == "colour-1"
        assert prediction["score"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("thresholds", "config", "shown"),
    [
        ({"Disc": 0.75}, CONFIG, True),
        ({"Disc": 0.85}, CONFIG, False),
        ({"Disc": 1.01}, CONFIG, False),
        ({"Ring": 0.85}, CONFIG, True),
        ({"Disc": 0.85}, CONFIG.replace("toName", 'model_score_threshold="0.5" toName'), True),
    ],
    ids=["it scores more", "less", "never shown", "another label's", "the tag decides"],
)
def test_regions_are_shown_from_their_labels_threshold_on(
    detector: ColourDetector,
    tmp_path: Path,
    host: str,
    thresholds: dict[str, float],
    config: str,
    shown: bool,
) -> None:
    """The detector finds a disc of 0.8 in every image."""
    fetcher = ImageFetcher(None, fetch_limits(allow_private=True, total_timeout=5), tmp_path)
    predictor = Predictor(detector, fetcher, predictor_options(), thresholds=thresholds)
    [prediction] = predictions_of(predictor, tasks(host, "img1.png"), config, 1)
    assert bool(prediction["result"]) == shown and 0 < prediction["score"] <= 1


def test_a_task_that_fails_is_empty_and_costs_the_others_nothing(
    predictor: Predictor, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch = tasks(host, "img1.png", "missing.png", "img2.png", "broken-img3.png", "blue.png", "img4.png")
    with caplog.at_level(logging.WARNING, logger="prelabel"):
        outcomes = predictor.predict(batch, CONFIG, 9)
    predictions = [outcome.prediction for outcome in outcomes]
    assert numbers(predictions) == [1, None, 2, None, None, 4]
    assert [p for p in predictions if not p["result"]] == [EMPTY] * 3
    kinds = [[failure.kind for failure in outcome.failures] for outcome in outcomes]
    assert kinds == [[], ["fetch"], [], ["decode"], ["model"], []]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(": ")[0] for line in warnings] == [
        "project 9, task 101",
        "project 9, task 103",
        "project 9, task 104",
    ]


@pytest.mark.parametrize(
    "task",
    [
        {"id": 5, "data": {}},
        {"id": 5, "data": {"image": None}},
        {"id": 5, "data": {"image": ""}},
        {"id": 5, "data": {"image": ["a", "b"]}},
        {"id": 5, "data": {"image": 7}},
        {"id": 5, "data": {"image": "file:///etc/passwd"}},
        {"id": 5, "data": {"image": "/data/upload/1/img1.png"}},
        {"id": 5, "data": "text"},
        {"id": 5},
        {},
        "task",
        None,
    ],
)
def test_a_task_without_a_usable_image_is_empty(predictor: Predictor, task: Any) -> None:
    (outcome,) = predictor.predict([task], CONFIG, None)
    assert outcome.prediction == EMPTY
    assert [failure.kind for failure in outcome.failures] == ["fetch"]


def test_no_tasks_no_predictions(predictor: Predictor) -> None:
    assert predictions_of(predictor, [], CONFIG, 1) == []


def test_an_image_above_the_pixel_limit_is_not_decoded(
    detector: ColourDetector, host: str, tmp_path: Path
) -> None:
    fetcher = ImageFetcher(None, fetch_limits(allow_private=True), tmp_path)
    predictor = Predictor(detector, fetcher, predictor_options(max_image_pixels=300 * 200 - 1))
    (outcome,) = predictor.predict(tasks(host, "img1.png"), CONFIG, 1)
    assert [failure.kind for failure in outcome.failures] == ["decode"]
    assert detector.batches == []


def test_several_images_in_a_task_meet_their_own_controls(predictor: Predictor, host: str) -> None:
    config = """<View><Image name="left" value="$a"/><Image name="right" value="$b.url"/>
      <RectangleLabels name="on_left" toName="left"><Label value="disc"/></RectangleLabels>
      <PolygonLabels name="on_right" toName="right"><Label value="Disc"/></PolygonLabels></View>"""
    data = {"a": f"http://{host}/img2.png", "b": {"url": f"http://{host}/img30.png"}}
    ((prediction,), half) = (
        predictions_of(predictor, [{"id": 1, "data": data}], config, 1),
        predictor.predict([{"id": 2, "data": {**data, "a": f"http://{host}/missing"}}], config, 1)[0],
    )
    regions = {region["from_name"]: region for region in prediction["result"]}
    assert regions["on_left"]["value"]["x"] == pytest.approx(10 / 300 * 100, abs=1e-3)
    assert regions["on_left"]["value"]["rectanglelabels"] == ["disc"]
    assert min(x for x, _ in regions["on_right"]["value"]["points"]) == pytest.approx(50, abs=1)
    assert [region["from_name"] for region in half.prediction["result"]] == ["on_right"]
    assert half.prediction["score"] == 0.0


def test_a_control_that_is_skipped_fetches_nothing(
    predictor: Predictor, detector: ColourDetector, host: str
) -> None:
    config = CONFIG.replace('toName="image"', 'toName="image" model_skip="true"')
    assert predictions_of(predictor, tasks(host, "missing.png"), config, 1) == [NOTHING_TO_LOOK_AT]
    assert detector.batches == []


def test_no_label_in_common_is_empty_without_work(
    predictor: Predictor, detector: ColourDetector, host: str
) -> None:
    config = CONFIG.replace("Disc", "Cat").replace("Box", "Dog")
    (outcome,) = predictor.predict(tasks(host, "missing.png"), config, 1)
    assert outcome.prediction == NOTHING_TO_LOOK_AT
    assert outcome.failures == ()
    assert detector.batches == []


def test_masks_that_a_detector_has_not_are_not_looked_for(
    predictor: Predictor, detector: ColourDetector, host: str
) -> None:
    detector.has_masks = False
    config = """<View><Image name="image" value="$image"/>
      <BrushLabels name="brush" toName="image"><Label value="Disc"/></BrushLabels></View>"""
    assert predictions_of(predictor, tasks(host, "img1.png"), config, 1) == [NOTHING_TO_LOOK_AT]
    assert detector.batches == []


def test_a_config_that_is_no_xml_is_refused(predictor: Predictor, host: str) -> None:
    with pytest.raises(LabelConfigError):
        predictions_of(predictor, tasks(host, "img1.png"), "<View", 1)


def test_a_caller_who_left_ends_the_work(predictor: Predictor, detector: ColourDetector, host: str) -> None:
    with pytest.raises(Abandoned):
        predictor.predict(
            tasks(host, *["img1.png"] * 9), CONFIG, 1, abandoned=lambda: len(detector.batches) >= 2
        )
    assert detector.batches == [3, 3]


def test_predictions_that_a_task_brings_along_change_nothing(predictor: Predictor, host: str) -> None:
    request = captured("interactive_rectanglelabels")
    task = {**request["tasks"][0], "data": {"image": f"http://{host}/img6.png"}}
    assert numbers(predictions_of(predictor, [task], CONFIG, 1)) == [6]


def test_a_wrong_region_is_left_out_and_told(
    predictor: Predictor, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_unknown_label(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        box, mask = to_regions(*arguments, **options)
        return [box | {"value": box["value"] | {"rectanglelabels": ["Unknown"]}}, mask]

    monkeypatch.setattr(results, "to_regions", with_unknown_label)
    (outcome,) = predictor.predict(tasks(host, "img1.png"), CONFIG, 1)
    assert [region["type"] for region in outcome.prediction["result"]] == ["brushlabels"]
    assert [failure.kind for failure in outcome.failures] == ["invalid"]


def test_images_are_read_a_few_ahead_and_no_more() -> None:
    asked: list[int] = []

    def read(request: ImageRequest) -> TaskImage:
        asked.append(request.task_index)
        return TaskImage(request, pixels=None)  # type: ignore[arg-type]

    spec = LabelSpec.from_config(CONFIG, (), 0.5)
    requests = [ImageRequest(index, index, "image", "", spec) for index in range(50)]
    with ThreadPoolExecutor(4) as pool:
        images = read_ahead(requests, read, pool, ahead=3)
        order = [next(images).request.task_index for _ in range(2)]
        pool.submit(int).result()
        assert len(asked) <= 2 + 3
        order += [image.request.task_index for image in images]
    assert order == list(range(50))
