"""Choices in predictions: from heads or a classifier, together with boxes and masks, from one look at an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_sdk.label_interface import LabelInterface
from serving import CONFIG, RED_PER_NUMBER, predictions_of
from tones import ToneDetector, head

from prelabel.inference.choice_models import ChoiceModels
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

TONE = '<Choices name="tone" toName="image"><Choice value="red"/><Choice value="black"/></Choices>'
LOOK = (
    '<Choices name="look" toName="image" choice="multiple"><Choice value="Reddish" predicted_values="red"/>'
    '<Choice value="dark" predicted_values="night,coal"/></Choices>'
)
ONLY = f'<View><Image name="image" value="$image"/>{TONE}{LOOK}</View>'
MIXED = CONFIG.replace("</View>", f"{TONE}{LOOK}</View>")
RED, BLACK = "img50.png", "img1.png"


class NightClassifier:
    """Sure that it is night, or that it is coal."""

    labels = ("night", "coal", "cat")

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        return np.array([0.5, 0.4, 0.1], np.float32)


@pytest.fixture
def detector() -> ToneDetector:
    return ToneDetector()


class Asking:
    """A predictor, asked for images of the image server."""

    def __init__(self, detector: ToneDetector, host: str, folder: Path) -> None:
        self._detector = detector
        self._host = host
        self._fetcher = ImageFetcher(None, fetch_limits(allow_private=True, total_timeout=5), folder)

    def __call__(self, models: ChoiceModels, config: str, *names: str) -> list[dict[str, Any]]:
        tasks = [{"id": 1, "data": {"image": f"http://{self._host}/{name}"}} for name in names]
        predictor = Predictor(self._detector, self._fetcher, predictor_options(), choices=models)
        predictions = predictions_of(predictor, tasks, config, 1)
        for prediction in predictions:
            assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []
        return predictions


@pytest.fixture
def ask(detector: ToneDetector, host: str, tmp_path: Path) -> Asking:
    return Asking(detector, host, tmp_path)


def chosen(prediction: dict[str, Any]) -> dict[str, list[str]]:
    regions = [region for region in prediction["result"] if region["type"] == "choices"]
    return {region["from_name"]: region["value"]["choices"] for region in regions}


def test_one_look_gives_boxes_masks_and_choices(ask: Asking, detector: ToneDetector) -> None:
    heads = [head("tone", "red", "black"), head("look", "Reddish", "dark", multi_label=True)]
    predictions = ask(ChoiceModels(heads), MIXED, RED, BLACK, RED)
    assert (detector.looks, detector.batches) == ([3], [3])
    assert [chosen(prediction) for prediction in predictions] == [
        {"tone": ["red"], "look": ["Reddish"]},
        {"tone": ["black"], "look": ["dark"]},
        {"tone": ["red"], "look": ["Reddish"]},
    ]
    for prediction in predictions:
        types = [region["type"] for region in prediction["result"]]
        assert types == ["rectanglelabels", "brushlabels", "choices", "choices"]
        assert prediction["score"] == pytest.approx(0.8), "the boxes are less sure than the choices"


def test_the_least_sure_answer_is_the_score_of_the_task(ask: Asking) -> None:
    [prediction] = ask(ChoiceModels([head("tone", "red", "black", sharpness=0.1)]), MIXED, RED)
    [tone] = [region for region in prediction["result"] if region["type"] == "choices"]
    assert 0.5 < tone["score"] < 0.75, "the box has 0.8"
    assert prediction["score"] == tone["score"]
    assert sum(tone["scores"].values()) == pytest.approx(1, abs=1e-3)


def test_a_project_of_choices_is_not_searched_for_objects(ask: Asking, detector: ToneDetector) -> None:
    [prediction] = ask(ChoiceModels([head("tone", "red", "black")]), ONLY, BLACK)
    assert chosen(prediction) == {"tone": ["black"]}
    assert (detector.looks, detector.batches) == ([1], [])


def test_choices_that_nothing_knows_cost_nothing(ask: Asking, detector: ToneDetector) -> None:
    empty = {"result": [], "score": 0.0001, "model_version": "colour-1"}
    assert ask(ChoiceModels(), ONLY, "missing.png") == [empty]
    assert ask(ChoiceModels([head("other", "red", "black")]), ONLY, "missing.png") == [empty]
    assert ask(ChoiceModels([head("tone", "blue", "green")]), ONLY, "missing.png") == [empty]
    skipped = ONLY.replace("<Choices ", '<Choices model_skip="true" ')
    assert ask(ChoiceModels([head("tone", "red", "black")]), skipped, "missing.png") == [empty]
    assert detector.looks == []


def test_the_classifier_answers_where_there_is_no_head(ask: Asking) -> None:
    models = ChoiceModels([head("tone", "red", "black")], NightClassifier())
    [prediction] = ask(models, ONLY, RED)
    assert chosen(prediction) == {"tone": ["red"], "look": ["dark"]}
    scores = {region["from_name"]: region["score"] for region in prediction["result"]}
    assert scores["look"] == pytest.approx(0.9), "night and coal are both dark"


def test_a_head_of_former_choices_goes_on_where_they_are_claimed(ask: Asking) -> None:
    [prediction] = ask(ChoiceModels([head("look", "red", "Black", multi_label=True)]), ONLY, RED)
    assert chosen(prediction) == {"look": ["Reddish"]}


def test_only_the_images_of_objects_are_searched(ask: Asking, detector: ToneDetector, host: str) -> None:
    config = CONFIG.replace("</View>", f'<Image name="other" value="$second"/>{TONE}</View>').replace(
        'name="tone" toName="image"', 'name="tone" toName="other"'
    )
    data = {"image": f"http://{host}/{BLACK}", "second": f"http://{host}/{RED}"}
    models = ChoiceModels([head("tone", "red", "black")])
    predictor = Predictor(detector, ask._fetcher, predictor_options(), choices=models)
    [prediction] = predictions_of(predictor, [{"id": 1, "data": data}], config, 1)
    box, _, tone = prediction["result"]
    assert (tone["to_name"], tone["value"]["choices"]) == ("other", ["red"])
    assert box["value"]["x"] == pytest.approx(RED_PER_NUMBER / 3, abs=0.01)
    assert (detector.looks, detector.batches) == ([2], [1])


def test_an_image_that_cannot_be_read_has_no_choices(ask: Asking) -> None:
    models = ChoiceModels([head("tone", "red", "black")])
    read, missing = ask(models, ONLY, RED, "missing.png")
    assert chosen(read) == {"tone": ["red"]}
    assert (missing["result"], missing["score"]) == ([], 0.0)


def test_the_log_says_who_answers(ask: Asking, detector: ToneDetector) -> None:
    def lines(models: ChoiceModels) -> list[str]:
        predictor = Predictor(detector, ask._fetcher, predictor_options(), choices=models)
        return predictor.capabilities.describe(predictor.label_spec(ONLY))[-2:]

    assert lines(ChoiceModels([head("tone", "red", "green")], NightClassifier())) == [
        "choices 'tone': learnt from accepted choices: red; without an answer: black",
        "choices 'look': by the classifier: dark; without an answer: Reddish",
    ]
    assert lines(ChoiceModels())[0] == (
        "choices 'tone': no answer is known yet, it is learnt from accepted choices"
    )
