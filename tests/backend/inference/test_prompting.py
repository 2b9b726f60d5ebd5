"""Answers to smart tools: one region, from features that are made once for an image, or a reason in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_sdk.label_interface import LabelInterface
from serving import IMAGE_SIZE, ColourDetector

from fbnetv3.detector import ImageFeatures
from fbnetv3.instances import BoxMask, Instances
from prelabel.inference import prompting, viewing
from prelabel.inference.predictor import Predictor
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.inference.prompting import Prompter
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

EMPTY = {"result": [], "score": 0.0, "model_version": "colour-1"}
LABELS = '<Label value="Disc"/><Label value="Moon"/>'


def config(*tags: str) -> str:
    controls = "".join(f'<{tag} name="{tag}" toName="image">{LABELS}</{tag}>' for tag in tags)
    return f'<View><Image name="image" value="$image"/>{controls}</View>'


CONFIG = config("RectangleLabels", "KeyPointLabels", "BrushLabels")


class CountingDetector(ColourDetector):
    """Counts the expensive step, and keeps the labels that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0
        self.asked_for: list[tuple[str, ...]] = []

    def set_images(self, images: Sequence[np.ndarray]) -> list[ImageFeatures]:
        self.looked_at += len(images)
        return super().set_images(images)

    def mask_in_box(self, features: ImageFeatures, box: np.ndarray, labels: Sequence[str] = ()) -> Instances:
        if (features.pixels[0, 0] == (0, 0, 255)).all():
            raise RuntimeError("out of memory")
        self.asked_for.append(tuple(labels))
        return super().mask_in_box(features, box, labels)


class CountingFetcher(ImageFetcher):
    fetched = 0

    def fetch(self, url: object, task_id: int | None = None) -> bytes:
        self.fetched += 1
        return super().fetch(url, task_id)


@pytest.fixture
def detector() -> CountingDetector:
    return CountingDetector()


@pytest.fixture
def fetcher(tmp_path: Path) -> CountingFetcher:
    return CountingFetcher(None, fetch_limits(allow_private=True, total_timeout=5), tmp_path)


@pytest.fixture
def predictor(detector: CountingDetector, fetcher: CountingFetcher) -> Predictor:
    return Predictor(detector, fetcher, predictor_options(), PromptFeatures(10_000_000))


def task(host: str, name: str = "img1.png", **fields: Any) -> dict[str, Any]:
    return {"id": 5, "data": {"image": f"http://{host}/{name}"}, **fields}


def drawn(label: str = "Disc", x: float = 10, kind: str = "rectanglelabels", **fields: Any) -> dict[str, Any]:
    value = {"x": x, "y": 20, "width": 20, "height": 30, "rotation": 0, kind: [label]}
    names = {"rectanglelabels": "RectangleLabels", "keypointlabels": "KeyPointLabels"}
    return {"type": kind, "from_name": names[kind], "to_name": "image", "value": value, **fields}


def ask(predictor: Predictor, task: Any, *shapes: Any, xml: str = CONFIG, prompter: Any = None) -> Any:
    prompter = prompter or Prompter()
    return prompter.answer(predictor, task, {"result": list(shapes)}, xml, 3)


def test_a_box_becomes_a_valid_mask_with_the_picked_label(
    predictor: Predictor, detector: CountingDetector, host: str
) -> None:
    outcome = ask(predictor, task(host), drawn())
    [region] = outcome.prediction["result"]
    assert outcome.failures == ()
    assert (region["from_name"], region["score"]) == ("BrushLabels", outcome.prediction["score"])
    assert region["value"]["brushlabels"] == ["Disc"] and detector.asked_for == [("Disc",)]
    assert LabelInterface(CONFIG).validate_prediction(outcome.prediction, return_errors=True) == []


@pytest.mark.parametrize("shape", ["Rectangle", "Brush", "Ellipse", "Bitmask"])
def test_the_answer_of_a_pair_is_a_shape_and_its_label(
    predictor: Predictor, detector: CountingDetector, host: str, shape: str
) -> None:
    tags = f'<Labels name="l" toName="image">{LABELS}</Labels><{shape} name="s" toName="image"/>'
    xml = f'<View><Image name="image" value="$image"/>{tags}<Rectangle name="r" toName="image"/></View>'
    bare = {**drawn(), "id": "x", "type": "rectangle", "from_name": "r"}
    del bare["value"]["rectanglelabels"]
    label = {"id": "x", "type": "labels", "from_name": "l", "to_name": "image", "value": {"labels": ["Moon"]}}
    outcome = ask(predictor, task(host), bare, label, xml=xml)
    first, second = outcome.prediction["result"]
    assert outcome.failures == () and first["id"] == second["id"]
    assert (first["from_name"], second["from_name"], second["value"]["labels"]) == ("s", "l", ["Moon"])
    assert LabelInterface(xml).validate_prediction(outcome.prediction, return_errors=True) == []


def test_a_label_that_the_model_does_not_know_is_given_all_the_same(
    predictor: Predictor, detector: CountingDetector, host: str
) -> None:
    [region] = ask(predictor, task(host), drawn("Moon")).prediction["result"]
    assert region["value"]["brushlabels"] == ["Moon"] and detector.asked_for == [()]


def test_a_network_without_masks_gives_a_box(
    predictor: Predictor, detector: CountingDetector, host: str
) -> None:
    detector.has_masks = False
    [region] = ask(predictor, task(host), drawn()).prediction["result"]
    assert (region["type"], region["value"]["x"], region["value"]["width"]) == ("rectanglelabels", 10, 20)


def test_a_mask_in_pieces_becomes_its_largest_polygon(
    predictor: Predictor, detector: CountingDetector, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = np.zeros(IMAGE_SIZE, bool)
    pieces[10:20, 10:20] = pieces[50:90, 60:120] = True
    found = Instances(
        IMAGE_SIZE,
        np.array([[10, 10, 120, 90]], np.float32),
        np.array([0.5], np.float32),
        np.array([1]),
        detector.labels,
        (BoxMask.from_full(pieces),),
    )
    monkeypatch.setattr(detector, "mask_in_box", lambda *_: found)
    xml = config("RectangleLabels", "PolygonLabels")
    [region] = ask(predictor, task(host), drawn(), xml=xml).prediction["result"]
    assert region["type"] == "polygonlabels" and "parentID" not in region
    assert min(x for x, _ in region["value"]["points"]) == pytest.approx(20)


def test_a_score_below_the_controls_threshold_does_not_matter(predictor: Predictor, host: str) -> None:
    xml = CONFIG.replace("<BrushLabels ", '<BrushLabels model_score_threshold="0.99" ')
    assert len(ask(predictor, task(host), drawn(), xml=xml).prediction["result"]) == 1


def test_two_boxes_become_two_regions(predictor: Predictor, host: str) -> None:
    regions = ask(predictor, task(host), drawn(), drawn(x=50, id="b")).prediction["result"]
    assert len({region["id"] for region in regions}) == 2


def test_clicks_that_nothing_explains_are_answered_with_nothing(
    predictor: Predictor, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    click = drawn(kind="keypointlabels")
    assert len(ask(predictor, task(host), click).prediction["result"]) == 1
    outcome = ask(predictor, task(host), click, click | {"is_positive": False})
    assert (outcome.prediction, outcome.failures) == (EMPTY, ())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_second_prompt_neither_fetches_nor_decodes_nor_looks(
    predictor: Predictor,
    detector: CountingDetector,
    fetcher: CountingFetcher,
    host: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prompter = Prompter()
    ask(predictor, task(host), drawn(), prompter=prompter)
    monkeypatch.setattr(viewing, "decode_image", None)
    for x in (20, 30, 40):
        assert ask(predictor, task(host), drawn(x=x), prompter=prompter).prediction["result"]
    assert (detector.looked_at, fetcher.fetched) == (1, 1)


def test_an_opened_task_is_not_looked_at_again(
    predictor: Predictor, detector: CountingDetector, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor.predict([task(host)], CONFIG, 3)
    monkeypatch.setattr(viewing, "decode_image", None)
    assert ask(predictor, task(host), drawn()).prediction["result"]
    assert detector.looked_at == 1


def test_of_tasks_that_come_together_nothing_is_kept_for_prompts(
    predictor: Predictor, detector: CountingDetector, host: str
) -> None:
    """Nobody opened them: they would push out what annotators work on."""
    predictor.predict([task(host), {**task(host, "img2.png"), "id": 6}], CONFIG, 3)
    ask(predictor, task(host), drawn())
    assert detector.looked_at == 3


def test_an_image_is_asked_for_again_after_a_while(
    predictor: Predictor,
    detector: CountingDetector,
    fetcher: CountingFetcher,
    host: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompting, "TRUSTED_SECONDS", 0.0)
    prompter = Prompter()
    ask(predictor, task(host), drawn(), prompter=prompter)
    ask(predictor, task(host), drawn(), prompter=prompter)
    assert (detector.looked_at, fetcher.fetched) == (1, 2)


def test_another_version_looks_for_itself(
    predictor: Predictor, detector: CountingDetector, host: str
) -> None:
    prompter = Prompter()
    ask(predictor, task(host), drawn(), prompter=prompter)
    detector.version = "colour-2"
    outcome = ask(predictor, task(host), drawn(), prompter=prompter)
    assert outcome.prediction["model_version"] == "colour-2"
    assert detector.looked_at == 2


def test_what_else_travels_in_the_request_is_not_read(predictor: Predictor, host: str) -> None:
    """Garbage RLE in annotations, drafts and predictions, which would fail to decode."""
    garbage = [{"result": [{"type": "brushlabels", "value": {"format": "rle", "rle": ["x", -1, None]}}]}]
    loaded = task(host, annotations=garbage, drafts=garbage, predictions=[*garbage, 7, None])
    assert ask(predictor, loaded, drawn()) == ask(predictor, task(host), drawn())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("missing.png", "fetch"), ("broken-img3.png", "decode"), ("blue.png", "model")],
)
def test_an_image_that_fails_gives_a_valid_empty_prediction_and_one_reason(
    predictor: Predictor, host: str, name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = ask(predictor, task(host, name), drawn(), drawn(x=50))
    assert outcome.prediction == EMPTY
    assert [failure.kind for failure in outcome.failures] == [kind]
    assert caplog.messages[-1].startswith("project 3, task 5: smart tool: ")


@pytest.mark.parametrize("odd", [None, "task", {}, {"id": "x", "data": []}])
def test_an_odd_task_is_no_error(predictor: Predictor, odd: Any) -> None:
    outcome = ask(predictor, odd, drawn())
    assert outcome.prediction == EMPTY and [failure.kind for failure in outcome.failures] == ["fetch"]


def test_a_label_that_no_control_takes_is_told(
    predictor: Predictor, detector: CountingDetector, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = ask(predictor, task(host), drawn("Ring"))
    assert outcome.prediction == EMPTY and detector.looked_at == 0
    assert "takes the label 'Ring'" in caplog.messages[-1]
