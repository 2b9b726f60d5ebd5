"""Tasks with several pages, from predictions to the labels that are learnt: the Repeater's controls on every page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_sdk.label_interface import LabelInterface
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import RED_PER_NUMBER, ColourDetector, predictions_of

from fbnetv3.active_learning import PoolImage
from prelabel.inference.predictor import Predictor
from prelabel.inference.prompting import Prompter
from prelabel.labels.snapshots import build_snapshot
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.config.project_config import ProjectConfig
from prelabel.labelstudio.config.repeaters import expand
from prelabel.labelstudio.config.smart_tools import missing_page_tools, missing_tools
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import annotate_project
from prelabel.publish.survey import SurveyedTask
from prelabel.queue.cached_features import CachedFeatures
from prelabel.review.prelabels import prelabelled_images
from prelabel.review.subjects import project_subjects
from prelabel.versions.own_versions import OwnVersions

DISCS = '<Label value="Disc"/><Label value="Box"/>'
CONFIG = f"""<View><Repeater on="$pages" indexFlag="{{{{idx}}}}" mode="pagination">
  <Image name="page_{{{{idx}}}}" value="$pages[{{{{idx}}}}].url"/>
  <RectangleLabels name="box_{{{{idx}}}}" toName="page_{{{{idx}}}}">{DISCS}</RectangleLabels>
  <BrushLabels name="mask_{{{{idx}}}}" toName="page_{{{{idx}}}}"><Label value="Disc"/></BrushLabels>
  <Choices name="kind_{{{{idx}}}}" toName="page_{{{{idx}}}}"><Choice value="cover"/><Choice value="text"/></Choices>
</Repeater></View>"""
INDEX = f"""<View><Image name="image" value="$pages[1].url"/>
  <RectangleLabels name="box" toName="image">{DISCS}</RectangleLabels></View>"""
FILLED = f"""<View><Image name="image" value="http://$host/img$number"/>
  <RectangleLabels name="box" toName="image">{DISCS}</RectangleLabels></View>"""


@pytest.fixture
def fetcher(studio: LabelStudioStandIn, tmp_path: Path) -> ImageFetcher:
    return ImageFetcher(studio.client(), fetch_limits(allow_private=True, total_timeout=5), tmp_path)


@pytest.fixture
def predictor(fetcher: ImageFetcher) -> Predictor:
    return Predictor(ColourDetector(), fetcher, predictor_options(batch_size=3))


def task(host: str, *numbers: int, number: int = 1) -> dict[str, Any]:
    """A task whose pages are these images."""
    return {"id": number, "data": {"pages": [{"url": f"http://{host}/img{one}.png"} for one in numbers]}}


def boxes(prediction: dict[str, Any]) -> dict[str, int]:
    """Image tag -> the number of the image that its box was made from."""
    return {
        region["to_name"]: round(region["value"]["x"] * 3 / RED_PER_NUMBER)
        for region in prediction["result"]
        if region["type"] == "rectanglelabels"
    }


def add(studio: LabelStudioStandIn, tasks: list[dict[str, Any]], config: str = CONFIG) -> list[int]:
    """The tasks, in a project with this config."""
    studio.project["label_config"] = config
    ids = studio.add_tasks(*("" for _ in tasks))
    for task_id, one in zip(ids, tasks, strict=True):
        studio.tasks[task_id]["data"] = one["data"]
    return ids


def test_every_page_of_every_task_has_its_boxes_and_masks(predictor: Predictor, host: str) -> None:
    tasks = [task(host, 4), task(host, 1, 2, 3), task(host, 9), task(host, 7, 8)]
    predictions = predictions_of(predictor, tasks, CONFIG, 1)
    assert [boxes(prediction) for prediction in predictions] == [
        {"page_0": 4},
        {"page_0": 1, "page_1": 2, "page_2": 3},
        {"page_0": 9},
        {"page_0": 7, "page_1": 8},
    ]
    for one, prediction in zip(tasks, predictions, strict=True):
        interface = LabelInterface(expand(CONFIG, one["data"]).xml)
        assert interface.validate_prediction(prediction, return_errors=True) == []
        masks = [region for region in prediction["result"] if region["type"] == "brushlabels"]
        assert [region["from_name"] for region in masks] == [f"mask_{n}" for n in range(len(masks))]
        assert prediction["score"] == pytest.approx(0.8)


def test_a_page_that_fails_costs_the_others_nothing(predictor: Predictor, host: str) -> None:
    broken = task(host, 1, 2, 3)
    broken["data"]["pages"][1]["url"] = f"http://{host}/missing.png"
    (outcome,) = predictor.predict([broken], CONFIG, 1)
    assert boxes(outcome.prediction) == {"page_0": 1, "page_2": 3}
    [failure] = outcome.failures
    assert (failure.kind, failure.reason.partition(":")[0]) == ("fetch", "pages[1].url")


@pytest.mark.parametrize("data", [{}, {"pages": []}, {"pages": "x"}, {"pages": None}, {"image": "x"}])
def test_a_task_without_pages_is_a_failure_and_no_empty_image(
    predictor: Predictor, data: dict[str, Any]
) -> None:
    (outcome,) = predictor.predict([{"id": 3, "data": data}], CONFIG, 1)
    assert outcome.prediction["result"] == []
    [failure] = outcome.failures
    assert failure.kind == "fetch" and failure.reason.startswith("pages: The task has no image")


@pytest.mark.parametrize("pages", [[], ["one"], ["one", {}], ["one", {"url": None}]])
def test_an_index_out_of_range_is_no_image_and_named(predictor: Predictor, pages: list[Any]) -> None:
    (outcome,) = predictor.predict([{"id": 3, "data": {"pages": pages}}], INDEX, 1)
    assert [failure.reason for failure in outcome.failures] == ["pages[1].url: The task has no image."]


def test_indices_and_variables_in_values_lead_to_the_image(predictor: Predictor, host: str) -> None:
    (by_index,) = predictions_of(predictor, [task(host, 5, 6)], INDEX, 1)
    assert boxes(by_index) == {"image": 6}
    (filled,) = predictions_of(predictor, [{"id": 1, "data": {"host": host, "number": 11}}], FILLED, 1)
    assert boxes(filled) == {"image": 11}


def test_a_filled_in_address_is_guarded_like_any_other(tmp_path: Path, host: str) -> None:
    guarded = Predictor(ColourDetector(), ImageFetcher(None, fetch_limits(), tmp_path), predictor_options())
    (outcome,) = guarded.predict([{"id": 1, "data": {"host": host, "number": 11}}], FILLED, 1)
    assert outcome.prediction["result"] == []
    assert [failure.kind for failure in outcome.failures] == ["fetch"]


def test_a_smart_tool_works_on_the_page_that_it_was_drawn_on(predictor: Predictor, host: str) -> None:
    drawn = {
        "id": "a",
        "from_name": "box_2",
        "to_name": "page_2",
        "type": "rectanglelabels",
        "value": {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["Disc"]},
    }
    outcome = Prompter().answer(predictor, task(host, 1, 2, 3), {"result": [drawn]}, CONFIG, 1)
    assert outcome.failures == ()
    assert [(one["from_name"], one["to_name"]) for one in outcome.prediction["result"]] == [
        ("mask_2", "page_2")
    ]


def test_tags_for_smart_tools_are_made_for_pages() -> None:
    snippet = missing_page_tools(CONFIG)
    assert missing_tools(CONFIG) == ""
    assert 'name="smart_point_{{idx}}" toName="page_{{idx}}"' in snippet
    pasted = CONFIG.replace("</Repeater>", f"{snippet}</Repeater>")
    LabelInterface(expand(pasted, {"pages": [1, 2]}).xml).validate()
    assert missing_page_tools(pasted) == ""


def test_annotate_pushes_the_pages_and_says_which_task_has_none(
    predictor: Predictor, studio: LabelStudioStandIn, host: str
) -> None:
    """One by one: Label Studio takes no batch with tags that are not literally in the config."""
    pages = [task(host, 1, 2), task(host, 3), {"data": {"pages": []}}, task(host, 4)]
    one, two, empty, gone = add(studio, pages)
    studio.vanished.add(gone)
    summary = annotate_project(
        studio.client(), predictor, read_project(studio.client(), PROJECT), OwnVersions(frozenset({"colour"}))
    )
    stored = {row["task"]: boxes(row) for row in studio.predictions.values()}
    assert stored == {one: {"page_0": 1, "page_1": 2}, two: {"page_0": 3}}
    assert studio.pushed == [[one], [two]]
    assert [(problem.task_id, problem.is_pushed) for problem in summary.problems] == [
        (empty, False),
        (gone, False),
    ]


def test_pages_have_features_for_the_queue(predictor: Predictor, host: str, tmp_path: Path) -> None:
    cached = CachedFeatures(predictor, CONFIG, tmp_path / "features")
    seen: list[str] = []
    predictor.predict(
        [task(host, 1, 2, 3)], CONFIG, 1, on_features=lambda image, _: seen.append(image.request.image_key)
    )
    assert seen == [f"pages[{n}].url" for n in range(3)]
    surveyed = [SurveyedTask(1, one["data"], frozenset(), False) for one in (task(host, 1), task(host, 2, 3))]
    found = [(one.task_index, type(one.features)) for one in cached.of(surveyed)]
    assert found == [(0, PoolImage), (1, PoolImage), (1, PoolImage)]
    assert len(list((tmp_path / "features" / "colour-1").glob("*"))) == 3


def box(page: int, label: str = "Disc", **fields: Any) -> dict[str, Any]:
    value = {"x": 10 * page, "y": 0, "width": 10, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    named = {"from_name": f"box_{page}", "to_name": f"page_{page}", "type": "rectanglelabels", "value": value}
    return {"id": f"b{page}", "original_width": 300, "original_height": 200, **named, **fields}


def choice(page: int, name: str) -> dict[str, Any]:
    named = {"from_name": f"kind_{page}", "to_name": f"page_{page}", "type": "choices"}
    return {"id": f"c{page}", **named, "value": {"choices": [name]}}


@pytest.fixture
def labelled(studio: LabelStudioStandIn, host: str) -> LabelStudioStandIn:
    """Two labelled tasks, of one and of three pages, the second page of the latter without a region."""
    ids = add(studio, [task(host, 1), task(host, 2, 3, 4)])
    results = [[box(0), choice(0, "cover")], [box(0, "Box"), choice(0, "cover"), box(2), choice(1, "text")]]
    for task_id, result in zip(ids, results, strict=True):
        annotation = {"id": 50 + task_id, "was_cancelled": False, "result": result}
        studio.tasks[task_id]["annotations"] = [annotation]
    return studio


def test_the_labels_of_every_page_are_learnt(
    labelled: LabelStudioStandIn, fetcher: ImageFetcher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="prelabel"):
        built = build_snapshot(
            labelled.client(), fetcher, read_project(labelled.client(), PROJECT), tmp_path, 10**6
        )
    assert built.left_out == [], caplog.text
    data = built.snapshot.train.data
    images = {image["id"]: (image["task"], image["image_key"]) for image in data["images"]}
    first, second = sorted(labelled.tasks)
    assert list(images.values()) == [(first, "pages[0].url")] + [
        (second, f"pages[{n}].url") for n in range(3)
    ]
    names = {one["id"]: one["name"] for one in data["categories"]}
    assert [
        (*images[one["image_id"]], names[one["category_id"]], one["bbox"]) for one in data["annotations"]
    ] == [
        (first, "pages[0].url", "Disc", [0, 0, 30, 100]),
        (second, "pages[0].url", "Box", [0, 0, 30, 100]),
        (second, "pages[2].url", "Disc", [60, 0, 30, 100]),
    ]
    [head] = built.snapshot.head_specs
    assert (head.name, head.classes) == ("kind_{{idx}}", ("cover", "text")), "the pages ask one question"
    assert [image.get("image_labels") for image in data["images"]] == [
        {"kind_{{idx}}": ["cover"]},
        {"kind_{{idx}}": ["cover"]},
        {"kind_{{idx}}": ["text"]},
        None,
    ]


def test_labels_and_predictions_of_every_page_are_reviewed(
    labelled: LabelStudioStandIn, fetcher: ImageFetcher, host: str, tmp_path: Path
) -> None:
    subjects = project_subjects(
        labelled.client(), fetcher, read_project(labelled.client(), PROJECT), tmp_path, 10**6
    )
    assert [one.image_key for one in subjects.image_refs] == ["pages[0].url"] + [
        f"pages[{n}].url" for n in range(3)
    ]
    [third] = add(labelled, [task(host, 5, 6)])
    labelled.add_prediction(third, "colour-1")
    [row] = labelled.predictions.values()
    row["result"] = [box(0, score=0.9), box(1, score=0.4)]
    found = prelabelled_images(labelled.client(), read_project(labelled.client(), PROJECT))
    assert [(image.image_ref.image_key, image.value) for image in found] == [
        (f"pages[{n}].url", f"http://{host}/img{5 + n}.png") for n in range(2)
    ]


def test_regions_of_pages_whose_tags_have_one_name_are_not_learnt() -> None:
    xml = (
        '<View><Repeater on="$images" indexFlag="{{idx}}"><Image name="page" value="$images[{{idx}}]"/>'
        '<RectangleLabels name="box" toName="page"><Label value="Disc"/></RectangleLabels></Repeater></View>'
    )
    config = ProjectConfig(xml)
    one, two = (config.of({"images": ["a.jpg", "b.jpg"][:count]}) for count in (1, 2))
    assert one.image_keys == ("images[0]",) and not one.problems
    assert two.image_keys == () and "several pages have a tag of this name" in two.problems[0]
